"""Seconds, bytes and the optimizer's memory, step by step, to findings about the machine and the state kept."""

from collections.abc import Callable

import numpy as np

from trainwell.doctor.course import learned
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.series import Record, median, picked, quantile
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS


def mixed_precision_underflow(record: Record) -> Finding | None:
    """Half-precision gradients below what the format holds, or a loss scale that has fallen to nothing."""
    tiny, scale, lost = record.get("tiny gradients"), record.get("scale"), record.get("lost updates")
    if not len(tiny) and not len(scale) and not len(lost):
        raise CannotJudge("no half-precision weights and no gradient scaler")
    if record.step < LIMITS.warm_up:
        raise CannotJudge(f"needs {LIMITS.warm_up} steps")
    if len(scale) >= 5 and scale.values[-1] <= 1.0:
        return _precision(
            record,
            f"The gradient scaler has fallen to {scale.values[-1]:g}.",
            "Nearly every scale overflows.",
            scale.values[-1],
        )
    if len(tiny) >= LIMITS.persist and (tiny.last(LIMITS.persist) > LIMITS.tiny_share).all():
        text = f"{tiny.values[-1]:.0%} of the half-precision gradients are 0 or below 6e-5, where float16 loses digits."
        return _precision(record, text, "Small gradients vanish in float16 for want of a loss scale.", tiny.values[-1])
    late = lost.last(LIMITS.persist)
    if len(late) >= LIMITS.persist and late.min() > LIMITS.lost_updates and learned(record) < LIMITS.learned_well:
        text = f"{late[-1]:.0%} of the half-precision weights that have a gradient stay as they are at a step."
        cause = "What a step would change lies below the weight's last digit: keep the weights in float32 and autocast."
        return _precision(record, text, cause, float(late[-1]), LIMITS.lost_updates)
    return None


def _precision(record: Record, evidence: str, cause: str, value: float, limit: float = LIMITS.tiny_share) -> Finding:
    return Finding(
        "mixed-precision-underflow",
        "gradient",
        "warn",
        evidence,
        cause,
        0.85,
        record.step,
        statistic={"value": value, "healthy": [0, limit]},
    )


def training_state_lost(record: Record) -> Finding | None:
    """An optimizer whose count of steps has gone back, as when a checkpoint was loaded without it."""
    count = record.get("optimizer step")
    if len(count) < 3 and not record.facts.get("resumed"):
        raise CannotJudge("the optimizer keeps no count of its steps")
    values = count.array
    back = np.flatnonzero(np.diff(values) < 0) if len(values) > 1 else np.zeros(0, dtype=int)
    empty = record.facts.get("resumed") and len(values) and values[0] <= 1 < record.facts["resumed"]
    # Always 1 is a state emptied before each step; always 0 may be a step that is gathered for over many batches.
    still = len(values) >= 4 and (values == values[0]).all() and count.steps[-1] - count.steps[0] >= LIMITS.warm_up
    still = still and len(record.facts.get("optimizers", ())) < 2  # one of several may have taken no step at all
    still = still and (values[0] == 1 or count.steps[-1] - count.steps[0] >= 10 * LIMITS.warm_up)
    if still and not len(back) and not empty:
        return _anew(count.steps[-1], float(values[-1]))
    if not len(back) and not empty:
        return None
    at = count.steps[int(back[0]) + 1] if len(back) else record.facts["resumed"]
    now = values[int(back[0]) + 1] if len(back) else values[0]
    evidence = f"At step {at} the optimizer says that it has done {now:.0f} steps; its averages began anew."
    return Finding(
        "training-state-lost",
        "optimizer",
        "warn",
        evidence,
        "A checkpoint was loaded without the optimizer's state, or the optimizer was made again.",
        0.9,
        int(at),
        statistic={"value": float(now), "series": picked(count)},
    )


def _anew(step: int, count: float) -> Finding:
    """The finding that the optimizer's memory never lasts."""
    return Finding(
        "training-state-lost",
        "optimizer",
        "warn",
        f"After {step} steps the optimizer says that it has done {count:.0f}: its averages begin anew all the time.",
        "The optimizer is made again inside the loop, or its state is emptied there.",
        0.9,
        step,
        statistic={"value": count, "healthy": [step, step]},
    )


def dataloader_starvation(record: Record) -> Finding | None:
    """Steps that wait for their batch for a large part of their time."""
    waiting, seconds = record.get("waiting").last(60), record.get("seconds").last(60)
    if len(waiting) < 30 or not waiting.any():
        raise CannotJudge("needs 30 steps of a loop whose passes are seen")
    share = median(waiting / np.maximum(seconds, 1e-9))
    each = median(waiting)
    if share <= LIMITS.waiting_warn or each < LIMITS.waiting_seconds:
        return None
    whole, all_waits = record.get("seconds").array, record.get("waiting").array
    if len(whole) == len(all_waits) and median(all_waits / np.maximum(whole, 1e-9)) <= LIMITS.waiting_warn:
        return None  # what has begun to take time is no loader
    evidence = f"Of each step's {median(seconds) * 1000:.1f} ms, {share:.0%} go by waiting for the batch."
    return Finding(
        "dataloader-starvation",
        "loader",
        "critical" if share > 0.8 else "warn",
        evidence,
        "Batches are made more slowly than they are learned from.",
        0.9,
        record.step,
        statistic={"value": share, "healthy": [0, LIMITS.waiting_warn]},
    )


def underused_device(record: Record) -> Finding | None:
    """An accelerator that has little to do and little in its memory."""
    used, full = record.get("device use"), record.get("device memory")
    if len(used) < 5 or len(full) < 5:
        raise CannotJudge("no accelerator whose use can be read")
    if median(used.last(5)) > 0.5 or full.values[-1] > 0.5:
        return None
    evidence = (
        f"The device works for {median(used.last(5)):.0%} of the time and "
        f"{full.values[-1]:.0%} of its memory is in use."
    )
    return Finding(
        "underused-device",
        "device",
        "note",
        evidence,
        "Batches are too small for the device, or it waits for the loop.",
        0.7,
        record.step,
        statistic={"value": median(used.last(5)), "healthy": [0.7, 1.0]},
    )


def _steadily_more(kept: np.ndarray) -> bool:
    """Whether each look finds a good part of the usual growth; copies that are put aside once, as the doctor's own of
    healthy moments, grow in leaps."""
    grown = np.diff(kept)
    return bool(grown.min() > 0.1 * max(float(grown.mean()), 0.0))


def memory_leak(record: Record) -> Finding | None:
    """Memory that grows on a straight line, step after step; a note unless tensors or graphs are seen to be kept.

    A process's memory also grows because its allocator keeps what was given back.
    """
    whole = record.get("share of graphs held")
    if len(whole) >= 5 and whole.values[-1] == 1.0 and record.get("graphs held").values[-1] >= 5:
        return _graphs_held(record)
    memory = record.get("memory")  # in MiB
    if len(memory) < 10 or memory.steps[-1] - memory.steps[0] < LIMITS.leak_steps:
        raise CannotJudge(f"needs {LIMITS.leak_steps} steps")
    later = len(memory) // 3
    values, steps = memory.array[later:], np.asarray(memory.steps[later:], dtype=float)
    growth = values[-1] - values[0]
    fit = float(np.corrcoef(steps, values)[0, 1] ** 2) if values.std() > 0 else 0.0
    rising = (np.diff(values) > 0).mean() if len(values) > 1 else 0.0
    if growth < max(LIMITS.leak_growth, 0.02 * values[0]) or fit < LIMITS.leak_fit or rising < 0.7:
        return None
    each = growth / (steps[-1] - steps[0])
    evidence = (
        f"Memory grew by {growth:.0f} MiB in {steps[-1] - steps[0]:.0f} steps, "
        f"{each * 1024:.0f} KiB each, along a line (r² {fit:.2f})."
    )
    graphs, tensors = (record.get(name).array for name in ("graphs kept", "tensors kept"))
    held = False
    if len(graphs) > 2 and graphs[-1] - graphs[0] >= len(graphs) - 1:
        held = True
        evidence += f" Python holds {graphs[-1]:.0f} tensors with their graphs, {graphs[-1] - graphs[0]:.0f} more."
    elif len(tensors) > 3 and _steadily_more(tensors) and tensors[-1] - tensors[0] > growth / 4:
        held = True
        evidence += f" Python holds tensors of {tensors[-1]:.0f} MiB, {tensors[-1] - tensors[0]:.0f} MiB more."
    if not held and growth < LIMITS.leak_share * values[0]:
        return None
    return Finding(
        "memory-leak",
        "loop",
        "warn" if held else "note",
        evidence,
        "Something is kept from every step: mostly the loss with its graph, or outputs, in a list or a sum."
        if held
        else "No tensor is seen to be kept: the allocator may hold on to what was given back, or a list is growing.",
        0.9 if held else 0.3,
        record.step,
        statistic={"value": each, "healthy": [0, 0], "series": picked(memory)},
    )


def _graphs_held(record: Record) -> Finding:
    """The finding that no graph is ever let go of, however little memory it takes as yet."""
    count = record.get("graphs held")
    return Finding(
        "memory-leak",
        "loop",
        "warn",
        f"The graphs behind the losses of all {count.values[-1]:.0f} steps that were looked at are still held.",
        "The loss or the answers are kept with their graph, in a list or a sum: keep loss.item() or detach() them.",
        0.9,
        record.step,
        statistic={"value": count.values[-1], "healthy": [0, 0], "series": picked(count)},
    )


def step_time_cliff(record: Record) -> Finding | None:
    """Steps that have come to take several times as long as they did."""
    seconds = record.get("seconds").array
    if len(seconds) < 100:
        raise CannotJudge("needs 100 steps")
    first, late = median(seconds[: len(seconds) // 2]), seconds[-max(20, len(seconds) // 5) :]
    last, least = median(late), quantile(late, 0.1)
    if least <= LIMITS.cliff * first or last - first < LIMITS.cliff_seconds:
        return None
    evidence = f"A step takes {last * 1000:.1f} ms now; in the first half it took {first * 1000:.1f} ms."
    return Finding(
        "step-time-cliff",
        "loop",
        "warn",
        evidence,
        "The loader, the disk or a hot device holds the loop up, or its graph grows.",
        0.85,
        record.step,
        statistic={"value": last / first, "healthy": [0, LIMITS.cliff], "series": picked(record.get("seconds"))},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "mixed-precision-underflow": mixed_precision_underflow,
    "training-state-lost": training_state_lost,
    "dataloader-starvation": dataloader_starvation,
    "underused-device": underused_device,
    "memory-leak": memory_leak,
    "step-time-cliff": step_time_cliff,
}
