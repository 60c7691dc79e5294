"""Names plus arguments to checked objects: the recipe that decides a run, in YAML and out."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from trainwell.errors import InputError, suggest

VERSION = 1
Part = dict[str, Any]  # {"name": "resnet", "depth": 18}: a name and the keyword arguments of what it names


@dataclass
class Recipe:
    """Everything that decides a run; each part is a name plus arguments, checked against the signature it names."""

    source: str = ""
    target: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)  # further sources: val, test
    split: Part = field(default_factory=dict)  # arguments of data.split
    transform: Part = field(default_factory=dict)  # arguments of data.Transform.fit
    augment: list[Part] = field(default_factory=list)
    model: Part = field(default_factory=dict)
    transfer: Part = field(default_factory=dict)  # arguments of models.transfer.Transfer: weights to start from
    task: Part = field(default_factory=dict)
    optimizer: Part = field(default_factory=dict)
    schedule: Part = field(default_factory=dict)
    train: Part = field(default_factory=dict)  # arguments of train.train
    seed: int = 0
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """The recipe as `load` reads it."""
        values = _plain(self.to_dict())
        text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        if any(each in text for each in "\x85\u2028\u2029\ufeff"):  # PyYAML would read these as spaces
            text = yaml.dump(values, Dumper=_Dumper, sort_keys=False)
        return text

    @classmethod
    def from_dict(cls, values: Any, where: str = "recipe") -> "Recipe":
        """Raises InputError for an unknown key, a value of the wrong type or a later version."""
        if not isinstance(values, dict):
            found = type(values).__name__
            raise InputError(f"{where}: a recipe is a table of keys, found {found}; see `trainwell plan`")
        version = values.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise InputError(
                f"{where}: recipe version {version}, this trainwell reads up to {VERSION}; update trainwell to use it"
            )
        known = {each.name for each in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise InputError(f"{where}: unknown key {key!r}; {suggest(key, known)}")
        hints = get_type_hints(cls)
        return cls(**{key: _typed(value, hints[key], f"{where}: {key}") for key, value in values.items()})

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a YAML file with the safe loader; raises InputError that names the file and line."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot read the recipe: {error}") from None
        try:
            values = _parse(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        return cls.from_dict(values, where=str(path))

    def set(self, assignment: str) -> "Recipe":
        """A copy with one value changed, as in `model.width=512`; raises InputError for a key that leads nowhere."""
        key, equals, text = assignment.partition("=")
        if not equals or not all(each.strip() for each in key.split(".")):
            raise InputError(f"--set {assignment}: expected KEY=VALUE, such as model.width=512")
        values = self.to_dict()
        *path, last = key.strip().split(".")
        at = values
        for step in path:
            inner = at.get(step)
            if not isinstance(inner, dict):
                raise InputError(f"--set {assignment}: no part {step!r} in a recipe; {suggest(step, at)}")
            at = inner
        try:
            at[last] = _parse(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise InputError(f"--set {assignment}: {text!r} is not a YAML value; quote it") from None
        return Recipe.from_dict(values, where=f"--set {assignment}")


def choices(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that a recipe may set: the keyword-only ones, as the positional ones come from the data."""
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def check(part: Part, function: Callable[..., Any], where: str) -> Part:
    """The arguments of a part as their annotations want them; raises InputError for an unknown or ill-typed one."""
    allowed = choices(function)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    checked = {}
    for key, value in part.items():
        if key == "name":
            continue
        if key not in allowed:
            raise InputError(f"{where}: unknown argument {key!r}; {suggest(key, allowed)}")
        checked[key] = _typed(value, hints.get(key, Any), f"{where}.{key}")
    return checked


def named(part: Part, table: Mapping[str, Any], where: str) -> Any:
    """What the part's name stands for in the table; raises InputError with the nearest name."""
    name = part.get("name")
    if name is None:
        raise InputError(f"{where}: has no name; give one, such as {where}.name={min(table)}")
    if not isinstance(name, str) or name not in table:
        raise InputError(f"{where}: unknown name {name!r}; {suggest(str(name), table)}")
    return table[name]


def build(part: Part, table: Mapping[str, Callable[..., Any]], where: str, supplied: Mapping[str, Any]) -> Any:
    """The object that a part names, its positional parameters taken from what the data supplies.

    Raises InputError if the data cannot supply one, as when a network for pictures meets a table, or if what is named
    refuses its arguments.
    """
    function = named(part, table, where)
    arguments = check(part, function, where)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            if name in supplied:
                arguments[name] = supplied[name]
            elif parameter.default is inspect.Parameter.empty:
                raise InputError(
                    f"{where}: {part['name']} needs {name!r}, which this data does not have "
                    f"(it has {', '.join(sorted(supplied))}); choose another: `trainwell {where}s` lists them"
                )
    try:
        return function(**arguments)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, KeyError):
            reason = f"there is no {reason}"
        given = ", ".join(f"{key}={value!r}" for key, value in part.items() if key != "name") or "defaults"
        raise InputError(f"{where}: {part['name']} refuses {given}: {reason}") from error


def _typed(value: Any, hint: Any, where: str) -> Any:
    try:
        return TypeAdapter(hint, config=None if dataclasses.is_dataclass(hint) else _LOOSE).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(f"{where}: found {value!r}, expected {_words(hint)} ({problem['msg'].lower()})") from None


def _words(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")


def _plain(value: Any) -> Any:
    """Numbers of NumPy and paths as YAML's own kinds."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


class _Loader(yaml.SafeLoader):
    """The safe loader, with 1e-3 read as a number, as YAML 1.2 and every user do."""


class _Dumper(yaml.SafeDumper):
    """The safe dumper, with quotes around a text that the loader would read as such a number."""


for _each in (_Loader, _Dumper):
    _number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    _each.add_implicit_resolver("tag:yaml.org,2002:float", _number, list("-+0123456789"))


def _parse(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # a safe loader: it makes plain values and nothing else


_LOOSE = ConfigDict(arbitrary_types_allowed=True)


def seconds(time: str | float | None) -> float | None:
    """A time such as "90s", "10m", "1h30m" or a number of seconds, in seconds; raises InputError for anything else."""
    if time is None or isinstance(time, int | float):
        found = time
    else:
        parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", time.strip().lower())
        if not parts or not any(parts.groups()):
            raise InputError(f"time: found {time!r}, expected seconds or a text such as 90s, 10m or 1h30m")
        found = sum(float(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True))
    if found is not None and not 0 < found < float("inf"):
        raise InputError(f"time: found {time!r}, expected more than nothing, such as 90s, 10m or 1h30m")
    return found
