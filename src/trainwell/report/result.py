"""A run folder to what the terminal prints of it: the result, what simple answers give, and its health."""

from pathlib import Path

from trainwell.report.files import read_facts
from trainwell.report.health import health_of
from trainwell.report.verdict import verdict_of
from trainwell.report.wording import SPACE


def result(folder: Path) -> str:
    """The page's first sentence, its warning where a simple answer is as good or better, and what the doctor found.

    Raises InputError where there is no such folder.
    """
    facts = read_facts(folder)
    verdict = verdict_of(facts)
    lines = [verdict.text]
    if verdict.heading:
        lines.append(f"{verdict.heading}. {verdict.advice}")
    if facts.checks or facts.findings:
        lines.append(health_of(facts)["sentence"])
    return "\n".join(lines).replace(SPACE, " ")
