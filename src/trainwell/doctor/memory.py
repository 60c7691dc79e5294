"""How long an optimizer remembers, beside how far a training has come, to a suspicion that twins then test."""

from collections.abc import Callable
from typing import Any

from trainwell.doctor.course import falling, learned
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, picked
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
FAR, FAR_OF_PLAN = 400.0, 0.3  # steps of memory, and their share of all steps


def of_group(group: dict[str, Any]) -> float:
    """The steps that a group of parameters averages its gradients over, 1 / (1 - momentum); 0 without momentum."""
    share = float(group.get("momentum") or 0.0)
    betas = group.get("betas")
    if isinstance(betas, tuple | list) and len(betas):
        share = max(share, float(betas[0]))
    return 1 / max(1 - share, 1e-6) if share > 0 else 0.0


def long_memory(record: Record) -> Finding | None:
    """Gradients of a hundred steps ago that still push, in a training that has not come far or gets no further."""
    memory, turned = record.facts.get("memory") or 0.0, record.facts.get("betas turned round")
    if not memory:
        raise CannotJudge("the optimizer has no momentum")
    if turned:
        return _turned_round(record, turned, memory)
    if record.step < 2 * LIMITS.warm_up:
        raise CannotJudge(f"needs {2 * LIMITS.warm_up} steps")
    if memory < LIMITS.memory or (learned(record) > 0.8 and falling(record)):
        return None
    planned = record.facts.get("steps") or 0
    outlasts = planned and memory > planned and learned(record) < 0.5 and record.step > 0.2 * planned
    # Nobody averages over so many but in trainings of many times as many steps.
    outlasts = outlasts or (memory > FAR and (not planned or memory > FAR_OF_PLAN * planned))
    return Finding(
        "learning-rate-too-high",
        "momentum",
        "warn",
        f"A step sums up the gradients of some {memory:,.0f} steps (healthy is 10), and after {record.step} steps "
        f"{max(0.0, learned(record)):.0%} of the way is learned.",
        "What pushed long ago still pushes when the slope has turned, so the weights swing past the valley.",
        0.75 if outlasts else 0.6,
        record.step,
        # What lasts longer than the whole training needs no proof on copies, which are shorter still.
        statistic={"value": memory, "healthy": [1, LIMITS.memory], "series": picked(record.get("loss"))}
        | ({"given": memory} if outlasts else {}),
    )


def turned_round(group: dict[str, Any]) -> tuple[float, float] | None:
    """Adam's two shares where the gradient is averaged over more than a hundred steps and its square over far fewer;
    its convergence asks for the first to be below the root of the second (Kingma and Ba 2015, arXiv:1412.6980)."""
    betas = group.get("betas")
    if not isinstance(betas, tuple | list) or len(betas) < 2:
        return None
    first, second = float(betas[0]), float(betas[1])
    return (first, second) if of_group(group) > LIMITS.memory and first**2 > second else None


def _turned_round(record: Record, betas: tuple[float, float], memory: float) -> Finding:
    return Finding(
        "learning-rate-too-high",
        "momentum",
        "warn",
        f"The optimizer's betas are ({betas[0]:g}, {betas[1]:g}): a step sums up the gradients of some {memory:,.0f} "
        f"steps (healthy is 10) and is scaled by {1 / max(1 - betas[1], 1e-6):,.0f} squares of them.",
        "They are the wrong way round: Adam's are (0.9, 0.999).",
        0.9,
        record.step,
        statistic={"value": memory, "healthy": [1, LIMITS.memory], "given": memory},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {"learning-rate-too-high": long_memory}
