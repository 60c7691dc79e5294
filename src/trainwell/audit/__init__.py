"""A source as it was read to what ails it: findings on its columns, files and parts, before any transform."""

import warnings
from collections.abc import Mapping

import polars as pl

from trainwell.audit import columns, copies, files, labels, leaks, parts, texts, times
from trainwell.audit.view import View
from trainwell.data.rows import Source
from trainwell.data.schema import Schema
from trainwell.doctor.finding import Finding

__all__ = ["audit"]

RULES = tuple(
    rule for stage in (columns, leaks, copies, parts, files, texts, labels, times) for rule in stage.RULES
)  # in the order in which a cause comes before what it leads to
MOST = 3  # findings of one name that are told


def audit(data: Source, schema: Schema, split: Mapping[str, object] | None = None) -> list[Finding]:
    """Findings on a source whose schema is known, the gravest first; at most some thousand rows are looked at.

    split: a recipe's, which says whether rows are held out at random.

    A rule that fails on data of a kind it was not made for is told as a warning and left out.
    """
    view, findings = View(data, schema, at_random=not set(split or ()) & {"time", "group", "parts"}), []
    for rule in RULES:
        try:
            findings += rule(view)
        except (
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            ArithmeticError,
            OSError,
            pl.exceptions.PolarsError,
        ) as error:
            warnings.warn(f"{rule.__name__.replace('_', ' ')}: the check of the source failed: {error}", stacklevel=2)
    grave = sorted(findings, key=lambda each: ("critical", "warn", "note").index(each.severity))
    kept: list[Finding] = []
    for finding in grave:
        if sum(each.name == finding.name for each in kept) < MOST:
            kept.append(finding)
    return kept
