"""What weights and settings tell by themselves, where no loss can be made on a copy: between players, or in a loop of
one's own that tells too little."""

import itertools
import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from trainwell.doctor.course import outweighing, shrunken
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.memory import FAR
from trainwell.doctor.patient import Patient
from trainwell.doctor.series import Record, median
from trainwell.doctor.thresholds import THRESHOLDS

# The deviation of a layer's weights times the root of its fan-in is 1.4 by He et al. 2015, 1 by LeCun et al. 1998 and
# .6 by torch's own, and .02 for all, as DCGAN has it, makes it .1 to 2. Of a typical layer it is never outside these.
LEAST, MOST = 0.02, 6.0
SUNK = 5.0  # times the norm of a unit's weights
TRIFLE = 5e-6  # of a layer's size in a step, of which ten thousand make a twentieth
SHRUNKEN = 0.5  # of its first size
HEAVY = 0.9  # a share left out, beyond any that is meant
LONG = 0.6  # of all looks
MOSTLY = 0.5  # of the layers
SMALL = 16  # weights, of which fewer say nothing
UNREACHED = 0.1  # of all weights that an optimizer holds, that no gradient has ever reached


@torch.no_grad()
def note(patient: Patient, record: Record) -> None:
    """Before the first step: which layers begin as one number, how large a typical layer's weights are, and what no
    optimizer holds."""
    layers = [
        (name, each.weight.detach().float())
        for name, each in patient.bare.named_modules()
        if isinstance(each, nn.Linear | nn.modules.conv._ConvNd) and each.weight.requires_grad
    ]
    layers = [(name, weight) for name, weight in layers if weight.numel() >= SMALL and weight.dim() > 1]
    zero = [name for name, weight in layers if not bool(weight.any())]
    if len(zero) < max(3, len(layers)):
        layers = [(name, weight) for name, weight in layers if name not in zero]  # begun as nothing on purpose
    alike = [name for name, weight in layers if bool((weight == weight.flatten()[0]).all())]
    sunk = [
        name
        for (name, each), (_, after) in itertools.pairwise(patient.bare.named_modules())
        if isinstance(after, nn.ReLU) and _sunk(each)
    ]
    sizes = [float(weight.std()) * math.sqrt(weight[0].numel()) for _, weight in layers]
    record.facts["first weights"] = {
        "layers": len(layers),
        "alike": alike,
        "sunk": sunk,
        "size": median(sizes) if sizes else 1.0,
    }
    held, named = patient.holds(), dict(patient.bare.named_parameters())
    record.facts["loose"] = {
        name: float(each.detach().double().sum())
        for name, each in named.items()
        if each.requires_grad and id(each) not in held
    }
    record.facts["still"] = {name for name, each in named.items() if not each.requires_grad}


def _sunk(layer: nn.Module) -> bool:
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if weight is None or bias is None or weight.dim() < 2 or len(weight) != len(bias):
        return False
    return bool((bias < -SUNK * weight.flatten(1).norm(dim=1)).float().mean() > MOSTLY)


@torch.no_grad()
def read(patient: Patient, record: Record, step: int) -> None:
    """How many weights that no optimizer holds have a gradient and are what they were at first, those that were freed
    since among them, and which share of those that one holds no gradient has reached yet."""
    loose, named, held = record.facts.get("loose"), dict(patient.bare.named_parameters()), patient.holds()
    if loose is None:
        return
    asked = {name: each for name, each in named.items() if each.requires_grad}
    freed = {name for name in record.facts["still"] & asked.keys() if named[name].grad is not None}
    for name in sorted(freed):
        if id(named[name]) not in held:
            loose[name] = float(named[name].detach().double().sum())
            record.facts["freed"] = name
    record.facts["still"] -= freed
    asked = {name: each for name, each in asked.items() if id(each) in held}
    missed = {name for name in asked if named[name].grad is None}
    if len(missed) < len(asked):
        missed &= record.facts.get("unreached", missed)
        record.facts["unreached"] = missed
        record.add(step, "unreached", "", _weights(asked, missed) / _weights(asked, asked))
    still = [
        name
        for name, first in loose.items()
        if name in named and named[name].grad is not None and float(named[name].detach().double().sum()) == first
    ]
    record.facts["loose names"] = still
    record.add(step, "loose", "", len(still))


def _weights(named: dict[str, nn.Parameter], names: Iterable[str]) -> int:
    return sum(named[name].numel() for name in names)


def _unasked(record: Record) -> None:
    if record.facts.get("loss") or "first weights" not in record.facts:
        raise CannotJudge("the loss was made on a copy, which tells more")


def bad_initialization(record: Record) -> Finding | None:
    """Layers of one number, or weights of a size that makes every signal fade or explode."""
    _unasked(record)
    first = record.facts["first weights"]
    alike, size = first["alike"], float(first["size"])
    if first["layers"] and len(alike) > MOSTLY * first["layers"]:
        evidence = f"{len(alike)} of {first['layers']} layers begin with all weights alike, such as {alike[0]}."
        return _begun_badly(alike[0], evidence, "Units that begin alike stay alike.", len(alike), [0, 0])
    if LEAST <= size <= MOST or first["layers"] < 2:
        return None
    evidence = f"A typical layer's weights deviate by {size:.3g} over the root of its inputs; 0.1 to 2 is usual."
    cause = f"Each layer makes what passes it {'larger' if size > MOST else 'smaller'}, forwards and backwards."
    return _begun_badly("model", evidence, cause, size, [LEAST, MOST])


def _begun_badly(where: str, evidence: str, cause: str, value: float, healthy: Iterable[float]) -> Finding:
    told = {"value": value, "healthy": list(healthy)}
    return Finding("bad-initialization", where, "critical", evidence, cause, 0.85, 0, statistic=told)


def dying_relu(record: Record) -> Finding | None:
    """Rectifiers behind biases so far below zero that nothing lifts them."""
    _unasked(record)
    first = record.facts["first weights"]
    if not first["sunk"]:
        return None
    evidence = f"The biases of {first['sunk'][0]}, before a rectifier, lie {SUNK:g} times its weights' norm below zero."
    cause = "Inputs of a usual size never lift them above zero, where no gradient reaches them."
    told = {"value": len(first["sunk"]), "healthy": [0, 0]}
    return Finding("dying-relu", first["sunk"][0], "critical", evidence, cause, 0.8, 0, statistic=told)


def learning_rate_too_low(record: Record) -> Finding | None:
    """Players of whom none has changed by more than a trifle at any look, or whose rate has long been nothing."""
    if record.facts.get("players", 1) < 2:
        raise CannotJudge("a single loss tells more")
    updates = record.recent("update", THRESHOLDS.persist)
    if not updates or record.step < 5 * THRESHOLDS.warm_up:
        raise CannotJudge(f"needs {5 * THRESHOLDS.warm_up} steps")
    looks = max(THRESHOLDS.persist, int(LONG * max(len(record.get("update", place)) for place in updates)))
    most = max(float(record.get("update", place).last(looks).max()) for place in updates)
    if most > TRIFLE:
        return None  # or a schedule is about to end, as it should
    evidence = f"At the last {looks} looks no layer of any player changed by more than {most:.1e} a step."
    cause = "At this rate neither player learns: the rates are too low, or a schedule has ended them."
    told = {"value": most, "healthy": [1e-4, 1e-2], "given": most}
    return Finding("learning-rate-too-low", "optimizer", "warn", evidence, cause, 0.85, record.step, statistic=told)


def over_regularized(record: Record) -> Finding | None:
    """Players that lose nearly all their units at each pass, or whose weights decay to nothing."""
    if record.facts.get("players", 1) < 2:
        raise CannotJudge("a single loss tells more")
    dropout, kept, pull = float(record.facts.get("dropout") or 0.0), shrunken(record), outweighing(record)
    if record.step < 2 * THRESHOLDS.warm_up:
        raise CannotJudge(f"needs {2 * THRESHOLDS.warm_up} steps")
    if dropout > HEAVY:
        evidence, where, value = f"Dropout leaves out {dropout:.0%} of a layer's units.", "dropout", dropout
    elif kept < SHRUNKEN and (pull > THRESHOLDS.pull or not record.facts.get("weight decay in gradients")):
        evidence = f"Weight decay has shrunk a typical layer to {kept:.0%} of its first size in {record.step} steps."
        where, value = "optimizer", kept
    else:
        return None
    cause = "Keeping the weights small, or units out, leaves the players too little to learn with."
    told = {"value": value, "healthy": [0, 0.5], "given": value}
    return Finding("over-regularized", where, "warn", evidence, cause, 0.85, record.step, statistic=told)


def long_memory(record: Record) -> Finding | None:
    """Players whose steps sum up the gradients of hundreds of steps, in which the other has long moved on."""
    if record.facts.get("players", 1) < 2:
        raise CannotJudge("a single loss tells more")
    memory = record.facts.get("memory") or 0.0
    if memory < FAR:
        return None
    evidence = f"A step sums up the gradients of some {memory:,.0f} steps; 2 to 10 is usual between players."
    cause = "What pushed long ago still pushes when the other player has moved on."
    told = {"value": memory, "healthy": [1, 10], "given": memory}
    return Finding("learning-rate-too-high", "optimizer", "warn", evidence, cause, 0.75, record.step, statistic=told)


def disconnected_parameters(record: Record) -> Finding | None:
    """Weights that get gradients, are in no optimizer, and do not change; or a large share that never gets any."""
    if "freed" not in record.facts:
        _unasked(record)
    shares = record.get("unreached").last(THRESHOLDS.persist)
    if len(shares) == THRESHOLDS.persist and shares[-1] > UNREACHED and record.step >= 2 * THRESHOLDS.warm_up:
        return _unreached(record, float(shares[-1]))
    series = record.get("loose")
    if len(series) < THRESHOLDS.persist or record.step < THRESHOLDS.warm_up:
        raise CannotJudge("needs more looks")
    if series.last(THRESHOLDS.persist).min() < 1:
        return None
    names = record.facts["loose names"]
    evidence = f"{len(names)} parameters get gradients, are in no optimizer and do not change, such as {names[0]}."
    return Finding(
        "disconnected-parameters",
        names[0],
        "critical" if 3 * len(names) > len(record.facts.get("layers", ())) else "warn",
        evidence,
        "They were added after the optimizer was made, or left out of its list.",
        0.9,
        record.step,
        statistic={"value": len(names), "healthy": [0, 0]},
    )


def _unreached(record: Record, share: float) -> Finding:
    names = sorted(record.facts["unreached"])
    return Finding(
        "disconnected-parameters",
        names[0],
        "critical" if share > 0.3 else "warn",
        f"No gradient has reached {len(names)} parameters, {share:.0%} of all weights, such as {names[0]}.",
        "They are not used in the forward pass, or a detach, no_grad, argmax or .item() cuts them off.",
        0.85,
        record.step,
        statistic={"value": share, "healthy": [0, UNREACHED]},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "dying-relu": dying_relu,
    "over-regularized": over_regularized,
    "learning-rate-too-high": long_memory,
    "learning-rate-too-low": learning_rate_too_low,
    "bad-initialization": bad_initialization,
    "disconnected-parameters": disconnected_parameters,
}
