"""A run folder to one HTML page that opens offline: its sections in order, through the templates, into report.html."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from trainwell.report.cases import examples_of, worth_of
from trainwell.report.details import comparison_of, metrics_of, mistakes_of
from trainwell.report.drawn import drawn_of
from trainwell.report.files import Facts, read_facts
from trainwell.report.forecasts import forecasts_of
from trainwell.report.health import health_of
from trainwell.report.intervals import intervals_of
from trainwell.report.made import made_of
from trainwell.report.overview import data_of, environment_of, headline_of, next_of, plan_of, training_of
from trainwell.report.segments import segments_of
from trainwell.report.texts import texts_of
from trainwell.report.verdict import Verdict, verdict_of
from trainwell.runs import RunFolder

TEMPLATES = Path(__file__).parent / "templates"

# Each part of the page, and what stands in for it where a file's content is not what it should be.
PARTS: dict[str, tuple[Callable[[Facts], Any], Callable[[], Any]]] = {
    "verdict": (verdict_of, lambda: Verdict(before="The result could not be read.")),
    "headline": (headline_of, lambda: {"line": [], "strip": []}),
    "comparison": (comparison_of, lambda: None),
    "health": (health_of, lambda: {"sentence": "What the doctor found could not be read."}),
    "data": (data_of, dict),
    "plan": (plan_of, list),
    "training": (training_of, dict),
    "metrics": (metrics_of, lambda: None),
    "forecasts": (forecasts_of, lambda: None),
    "spread": (intervals_of, lambda: None),
    "mistakes": (mistakes_of, dict),
    "segments": (segments_of, lambda: None),
    "examples": (examples_of, list),
    "texts": (texts_of, dict),
    "drawn": (drawn_of, lambda: None),
    "made": (made_of, lambda: None),
    "worth": (worth_of, lambda: None),
    "environment": (environment_of, list),
    "next": (next_of, dict),
}


def write_report(folder: Path) -> Path:
    """Write the page of a run folder into it as report.html, whole or not at all.

    Raises InputError where there is no such folder, and where it cannot be written.
    """
    return RunFolder(folder).write_text("report.html", render(folder))


def render(folder: Path) -> str:
    """The page of a run folder as HTML."""
    facts = read_facts(folder)
    parts = {name: _part(facts, name) for name in PARTS}
    templates = _templates()
    stylesheet = Markup((TEMPLATES / "stylesheet.css").read_text(encoding="utf-8"))
    return templates.get_template("page.html").render(facts=facts, stylesheet=stylesheet, **parts) + "\n"


@cache
def _templates() -> Environment:
    """The compiled templates, which escape every value put into them."""
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _part(facts: Facts, name: str) -> Any:
    """One part of the page; content of a wrong shape becomes a sentence among the troubles, the rest goes on."""
    build, empty = PARTS[name]
    try:
        return build(facts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        facts.troubles.append(f"The part {name!r} is left out: a file of the run is not as expected ({error}).")
        return empty()
