"""A run folder to the facts that its files hold; what is missing stays empty, what is damaged is told."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainwell.errors import InputError


@dataclass
class Facts:
    """What the files of one run say; every part may be empty."""

    folder: Path
    recipe: str = ""  # as YAML
    schema: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    augmented: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)  # what it answered as it learned
    probes: dict[str, Any] = field(default_factory=dict)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    generated: dict[str, Any] = field(default_factory=dict)  # what it drew or rebuilt
    scores: dict[str, Any] = field(default_factory=dict)  # what a judge said of what it drew
    film: list[dict[str, Any]] = field(default_factory=list)  # the same draws as the training went on
    present: set[str] = field(default_factory=set)  # names of the files that were read
    troubles: list[str] = field(default_factory=list)  # sentences about what could not be read or drawn

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.summary.get("name") or self.folder.resolve().name)

    @property
    def regresses(self) -> bool:
        """Whether its answers are numbers."""
        task = self.summary.get("task") or self.schema.get("task")
        if not task:
            return "scatter" in self.evaluation
        return task in ("regress", "gaussian", "quantile", "mixture", "forecast")


def read_facts(folder: Path) -> Facts:
    """All that the report needs from a run folder; raises InputError where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder; `trainwell runs` lists what there is")
    facts = Facts(folder)
    told = ("run", "schema", "environment", "summary", "plan", "checks", "evaluation", "augmented", "probes")
    for name in (*told, "generated", "scores"):
        setattr(facts, name, _json(facts, f"{name}.json", dict, {}))
    for name in ("baselines", "history"):
        setattr(facts, name, _entries(_json(facts, f"{name}.json", list, [])))
    facts.events = _lines(facts, "metrics.jsonl")
    facts.findings = _lines(facts, "findings.jsonl")
    facts.film = _lines(facts, "film.jsonl")
    facts.samples = _lines(facts, "samples.jsonl")
    facts.recipe = _text(facts, "recipe.yaml")
    return facts


def _text(facts: Facts, name: str) -> str:
    """The text of a file, or nothing; a file that cannot be read is told among the troubles."""
    try:
        text = (facts.folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        facts.troubles.append(f"{name} could not be read ({error}); what it says is missing here.")
        return ""
    facts.present.add(name)
    return text


def _json(facts: Facts, name: str, kind: type, empty: Any) -> Any:
    """The value in a JSON file if it is of this kind, else the empty one and a trouble."""
    text = _text(facts, name)
    if not text.strip():
        return empty
    try:
        value = json.loads(text)
    except ValueError as error:
        facts.present.discard(name)
        facts.troubles.append(f"{name} is damaged ({error}); what it says is missing here.")
        return empty
    if not isinstance(value, kind):
        facts.present.discard(name)
        facts.troubles.append(f"{name} holds a {type(value).__name__} where a {kind.__name__} was expected.")
        return empty
    return value


def _lines(facts: Facts, name: str) -> list[dict[str, Any]]:
    """The objects of a JSON lines file; lines that are no object are counted among the troubles."""
    kept, damaged = [], 0
    for line in _text(facts, name).splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            damaged += 1
            continue
        if isinstance(value, dict):
            kept.append(value)
        else:
            damaged += 1
    if damaged:
        facts.troubles.append(f"{name}: {damaged} of its lines could not be read.")
    return kept


def _entries(values: list[Any]) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)]
