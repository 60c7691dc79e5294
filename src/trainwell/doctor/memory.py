"""How long an optimizer remembers, beside how far a training has come, to a suspicion that twins then test."""

from collections.abc import Callable
from typing import Any

from trainwell.doctor.course import learned
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, picked
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS


def of_group(group: dict[str, Any]) -> float:
    """The steps that a group of parameters averages its gradients over, 1 / (1 - momentum); 0 without momentum."""
    share = float(group.get("momentum") or 0.0)
    betas = group.get("betas")
    if isinstance(betas, tuple | list) and len(betas):
        share = max(share, float(betas[0]))
    return 1 / max(1 - share, 1e-6) if share > 0 else 0.0


def long_memory(record: Record) -> Finding | None:
    """Gradients of more than a hundred steps ago that still push, in a training that has not come far."""
    memory = record.facts.get("memory") or 0.0
    if not memory:
        raise CannotJudge("the optimizer has no momentum")
    if record.step < 2 * LIMITS.warm_up:
        raise CannotJudge(f"needs {2 * LIMITS.warm_up} steps")
    if memory <= LIMITS.memory or learned(record) > 0.8:
        return None
    return Finding(
        "learning-rate-too-high",
        "momentum",
        "warn",
        f"A step sums up the gradients of some {memory:,.0f} steps (healthy is 10), and after {record.step} steps "
        f"{max(0.0, learned(record)):.0%} of the way is learned.",
        "What pushed long ago still pushes when the slope has turned, so the weights swing past the valley.",
        0.6,
        record.step,
        statistic={"value": memory, "healthy": [1, LIMITS.memory], "series": picked(record.get("loss"))},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {"learning-rate-too-high": long_memory}
