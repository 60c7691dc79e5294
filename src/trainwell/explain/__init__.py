"""Why this answer, and for whom it fails: metrics with intervals, simple answers, cases, what columns are worth."""

from trainwell.explain.baselines import baselines
from trainwell.explain.cases import examples
from trainwell.explain.columns import column_worth
from trainwell.explain.evaluation import measure

__all__ = ["baselines", "column_worth", "examples", "measure"]
