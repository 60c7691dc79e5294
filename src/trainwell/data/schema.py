"""A table's columns to a schema: what each column is, which is the answer, and why it was read so."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["number", "category", "text", "image", "audio", "boxes", "mask", "time", "series"]
Role = Literal["input", "target", "group", "ignored"]
NOWHERE, UNTOLD = -1, -2  # in place of an answer's first and last token: there is no answer, or it is not known


@dataclass
class Column:
    """One column: its kind, its part in the work, and the sentence that says why."""

    name: str
    kind: Kind
    role: Role = "input"
    reason: str = ""
    categories: list[str] = field(default_factory=list)  # of a category column, most frequent first
    missing: int = 0  # rows without a value
    unique: int = 0  # different values
    facts: dict[str, Any] = field(default_factory=dict)  # numbers: low, high, mean, deviation, skew; images: shape


@dataclass
class Schema:
    """What the columns of a source are; the targets are the columns with the role "target"."""

    columns: list[Column]
    rows: int
    task: str  # the task that the target asks for: classify, regress, ...
    classes: list[str] = field(default_factory=list)  # of classify: the labels, in the order of the outputs
    class_type: str = "str"  # what the labels were before they became text: str, int, float or bool
    version: int = 1

    @property
    def inputs(self) -> list[Column]:
        return [column for column in self.columns if column.role == "input"]

    @property
    def targets(self) -> list[Column]:
        return [column for column in self.columns if column.role == "target"]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Schema":
        return cls(**{**saved, "columns": [Column(**column) for column in saved["columns"]]})
