"""What is heard of two players at the doctor's own looks to findings, long before a loop shows samples."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.doctor.answers_pulled import SQUASHED
from trainwell.doctor.duel import count_turns, faintest, turns
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.play import HEARD, MADE, REAL, Play, hear, making_player, turned
from trainwell.doctor.players import NO_BETTER
from trainwell.doctor.series import Record, median, picked
from trainwell.doctor.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

LIMITS = THRESHOLDS
LONG = 0.25  # of its weights, by which a player's first steps change them
APART, FAR_APART = 10.0, 20.0  # rate times turns over the other's
EARLY, LATER, LATEST = 5, 8, 25  # looks after which samples should come nearer, the surer it is that they do not
LOOKS = 3  # in a row that must agree
ALIKE = 0.05  # of the spread of real rows
SPREAD_OUT = 1.5  # directions that real rows lie in, by how evenly their variance is shared
BEYOND = 4.0  # times the generator's range


def after_round(doctor: "Ward", patient: Patient, losses: Any, looked: bool) -> None:
    """A step is told: of two players the round's turns are over; at a look what was heard of it is written down."""
    if patient.play is None:
        return
    patient.play.end_round()
    doctor.treatments.averaged.add(patient)
    if looked:
        _note(doctor.record, doctor.step, patient, patient.play, losses)


def _note(record: Record, step: int, patient: Patient, play: Play, losses: Any) -> None:
    play.making = making_player(patient)
    hear(record, step, patient, losses)
    facts = record.facts
    facts |= {"rates apart": count_turns(patient), "noise": faintest(patient)}
    facts["maker's turns"] = dict(zip(patient.players, turns(patient), strict=True)).get(play.making, 1.0)
    facts["players' weights"] = _weights(patient)
    heard = not play.unlike and bool(play.real) and bool(play.noises)
    facts["noise numbers"] = play.noises[-1][0].numel() if heard else 0
    narrow = facts["noise numbers"] == 1
    facts["directions"] = _directions(torch.cat(list(play.real)[-HEARD:])) if narrow else 0.0
    aims = heard and turned(play) and "pull" not in play.mended
    facts["looks turned"] = facts.get("looks turned", 0) + 1 if aims else 0
    twice = heard and _squashed(play) and "scores" not in play.mended
    facts["looks squashed"] = facts.get("looks squashed", 0) + 1 if twice else 0
    facts["beyond"] = _beyond(patient, play) if heard and "units" not in play.mended else 0.0


def _weights(patient: Patient) -> dict[str, list[str]]:
    """The names of each player's matrices, by player."""
    names = {id(each): name for name, each in patient.bare.named_parameters()}
    return {
        player: [
            names[id(each)]
            for group in optimizer.param_groups
            for each in group["params"]
            if each.dim() > 1 and id(each) in names
        ]
        for player, optimizer in patient.optimizers.items()
    }


def _directions(rows: Tensor) -> float:
    """In how many directions rows spread: 1 where all lie on a line, more the more evenly the variance is shared."""
    flat = rows.detach().flatten(1).double()
    sizes = torch.linalg.svdvals(flat - flat.mean(0)).square()
    return float(sizes.sum().square() / sizes.square().sum().clamp_min(1e-12))


def _squashed(play: Play) -> bool:
    pulls = [play.pulls[each] for each in (REAL, MADE) if each in play.pulls]
    return len(pulls) == 2 and all(each.form == SQUASHED and each.weight > 0 for each in pulls)


def _beyond(patient: Patient, play: Play) -> float:
    """How wide real rows are, over what the generator's last layer lets it reach; 0 where that has no bounds."""
    parts = [each for each in patient.bare.get_submodule(play.maker).modules() if not list(each.children())]
    width = 2.0 if isinstance(parts[-1], nn.Tanh) else 1.0 if isinstance(parts[-1], nn.Sigmoid) else math.inf
    real = torch.cat(list(play.real)[-HEARD:])
    return float(real.max() - real.min()) / width if math.isfinite(width) else 0.0


def first_steps(record: Record) -> dict[str, float]:
    """By how much of their size each player's first step changed its weights: the median of its matrices."""
    moved = {}
    for player, names in record.facts.get("players' weights", {}).items():
        pairs = [(record.get("update", each), record.get("weight", each)) for each in names]
        begun = [(one, other.values[0]) for one, other in pairs if len(one) and len(other)]
        shares = [one.values[0] / size for one, size in begun if size > 0]  # matrices of zeros have no size to change
        if shares:
            moved[player] = median(shares)
    return moved


def one_player_wins(record: Record) -> Finding | None:
    """Players that go at paces far apart, a generator that works for the discriminator, or what neither can mend."""
    distance = record.get("heard distance")
    if not len(distance):
        raise CannotJudge("no game of two players was heard")
    if record.facts.get("looks turned", 0) >= LOOKS:
        return _turned(record)
    return loss_head_mismatch(record) or input_not_normalized(record) or _too_long(record) or _apart(record)


def _turned(record: Record) -> Finding:
    evidence = "The generator's loss aims at the very answer that the discriminator learns to give to made rows."
    cause = "The generator learns to be found out: its loss wants the labels of real rows, or the other sign."
    return _finding("one-player-wins", "discriminator", evidence, cause, record, 0.9)


def _too_long(record: Record) -> Finding | None:
    """One player whose first step leaves little of its weights, beside one that goes far less far."""
    times, moved = float(record.facts.get("rates apart") or 1.0), first_steps(record)
    if len(moved) < 2 or len(record.get("heard distance")) < LOOKS:
        return None
    fast = max(moved, key=lambda each: moved[each])
    if moved[fast] < LONG:
        return None
    evidence = f"The first step changed {fast}'s weights by {moved[fast]:.0%} of their size"
    if times < APART:
        slow = min(moved, key=lambda each: moved[each])
        if moved[slow] < LONG or not _no_better(record, EARLY):
            return None
        evidence += f", those of {slow} by {moved[slow]:.0%}, and samples have come no nearer to real rows."
        cause = "Steps so long keep nothing of what was learned before."
        return _finding("learning-rate-too-high", fast, evidence, cause, record, 0.8)
    evidence += f"; by learning rates and turns one player goes {times:.3g} times as far as the other."
    return _finding("one-player-wins", fast, evidence, "One player leaves the other no time to follow.", record, 0.85)


def _no_better(record: Record, looks: int) -> bool:
    """Whether what is made lies as far from real rows as at first, after so many looks."""
    distance = record.get("heard distance")
    return len(distance) >= looks + 2 and median(distance.last(LOOKS)) > NO_BETTER * distance.values[0]


def _apart(record: Record) -> Finding | None:
    """Paces far apart, beside samples that come no nearer or all look alike."""
    times, often = (float(record.facts.get(each) or 1.0) for each in ("rates apart", "maker's turns"))
    distance = record.get("heard distance")
    if max(times, often) <= LIMITS.rates_apart:
        return None
    spread, surely = record.get("heard spread"), often > LIMITS.rates_apart or times > FAR_APART
    alike = len(spread) >= LATER and spread.last(LOOKS + 2).max() < min(
        LIMITS.sample_spread / 2, 1.1 * median(spread.array[:2])
    )
    looks = (EARLY if times > FAR_APART else LATER) if surely else LATEST
    if not ((alike and surely) or _no_better(record, looks)):
        return None
    seen = (
        f"lie {spread.values[-1]:.0%} as far from each other as real ones"
        if alike
        else f"lie {median(distance.last(LOOKS)):.2f} from real ones (at first {distance.values[0]:.2f})"
    )
    much = often > LIMITS.rates_apart
    evidence = f"Made rows {seen}; " + (
        f"the generator takes {often:.0f} turns for each of the discriminator's."
        if much
        else f"by learning rates and turns one player goes {times:.3g} times as far as the other."
    )
    cause = "The faster player leaves the other no time to follow."
    return _finding("one-player-wins", "generator" if much else "discriminator", evidence, cause, record, 0.8)


def mode_collapse(record: Record) -> Finding | None:
    """A generator whose noise cannot make rows that differ as real ones do."""
    spread = record.get("heard spread")
    if len(spread) < LOOKS:
        raise CannotJudge("no game of two players was heard")
    faint = float(record.facts.get("noise", 1.0))
    if faint < LIMITS.noise and spread.last(LOOKS).max() < ALIKE:
        evidence = (
            f"Made rows lie {spread.values[-1]:.1%} as far from each other as real ones; the generator is given "
            f"noise of deviation {faint:.2g}, where 1 is usual."
        )
        return _finding("mode-collapse", "generator", evidence, "Noise so faint makes rows alike.", record, 0.9)
    wide = float(record.facts.get("directions") or 0.0)
    if record.facts.get("noise numbers") == 1 and wide > SPREAD_OUT:
        evidence = f"The generator is given one number a row, and real rows spread in {wide:.1f} directions."
        cause = "What is made of one number lies on a line, however bent; more of them reach what lies beside it."
        found = _finding("mode-collapse", "generator", evidence, cause, record, 0.8)
        found.statistic["in the code"] = True
        return found
    return None


def loss_head_mismatch(record: Record) -> Finding | None:
    """A discriminator's answers squashed before a loss that squashes them itself."""
    if record.facts.get("looks squashed", 0) < LOOKS:
        return None
    evidence = "The gradient at the discriminator's answers is that of a loss of scores which was given their sigmoid."
    cause = "Squashed twice, answers cannot leave the middle, and each step is a fraction of what it should be."
    return _finding("loss-head-mismatch", "discriminator", evidence, cause, record, 0.9)


def input_not_normalized(record: Record) -> Finding | None:
    """Real rows that reach far beyond what the generator's last layer can make."""
    beyond = float(record.facts.get("beyond") or 0.0)
    if beyond <= BEYOND:
        return None
    evidence = f"Real rows are {beyond:.3g} times as wide as all that the generator's last layer can make."
    cause = "Real rows are in another unit than made ones, which are told from them at a glance."
    return _finding("input-not-normalized", "discriminator", evidence, cause, record, 0.9)


def _finding(name: str, where: str, evidence: str, cause: str, record: Record, sure: float) -> Finding:
    distance = record.get("heard distance")
    reached = median(distance.last(LOOKS)) if len(distance) else math.nan
    statistic = {"value": reached, "healthy": [0, LIMITS.sample_distance], "distance": reached, "heard": True}
    if len(distance):
        statistic["series"] = picked(distance)
    return Finding(name, where, "warn", evidence, cause, sure, record.step, statistic=statistic)


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "one-player-wins": one_player_wins,
    "mode-collapse": mode_collapse,
}
