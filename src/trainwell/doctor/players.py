"""Two players, a generator and a discriminator: what they make and tell, to findings."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import UNFIT, CannotJudge, Finding
from trainwell.doctor.patient import answering
from trainwell.doctor.series import Record, Series, finite, median, picked, smooth
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
ROWS = 256  # of each kind that are looked at
NO_BETTER = 0.9  # of the first samples' distance from real ones, which samples that get better fall below
UNDECIDED = 0.02  # how near the discriminator's loss is to that of answering one half to all
MOSTLY = 0.8  # of its steps
FAR = 0.4  # from real rows, where young samples are and others should not stay
GUESSING = (math.log(2), 2 * math.log(2))  # its loss then, as a mean or a sum over real and made rows, in nats


def look(
    record: Record, step: int, model: nn.Module | None, fake: Tensor, real: Tensor, classes: Tensor | None
) -> None:
    """Write down what generated rows are like beside real ones, and how surely a part of the model tells them apart."""
    record.add(step, "sample spread", "", sample_spread(fake, real, classes))
    record.add(step, "sample distance", "", sample_distance(fake, real))
    told = told_apart(model, fake, real) if model is not None else None
    if told is not None:
        record.add(step, "told apart", "", told)


def _rows_of_both(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    one, two = (each.detach()[:ROWS].flatten(1).float().cpu() for each in (fake, real))
    return one, two


def sample_spread(fake: Tensor, real: Tensor, classes: Tensor | None = None) -> float:
    """The mean distance between generated rows over that between real ones, of at most 256 each.

    classes: (rows,) long; with them only rows of one class are compared, as a generator may know one row of each.
    """
    fake, real = _rows_of_both(fake, real)
    spreads = [torch.pdist(each) for each in (fake, real)]
    if classes is not None:
        pairs = torch.combinations(classes[:256].cpu())  # in the order of pdist
        spreads = [each[pairs[:, 0] == pairs[:, 1]] for each in spreads]
    return float(spreads[0].mean() / spreads[1].mean().clamp_min(1e-12))


def sample_distance(fake: Tensor, real: Tensor) -> float:
    """The energy distance between generated and real rows, over the mean distance of real ones: 0 where both are alike.

    After Székely and Rizzo 2013; of at most 256 rows each.
    """
    fake, real = _rows_of_both(fake, real)
    between, made, given = torch.cdist(fake, real).mean(), torch.pdist(fake).mean(), torch.pdist(real).mean()
    return float((2 * between - made - given) / given.clamp_min(1e-12))


def told_apart(model: nn.Module, fake: Tensor, real: Tensor) -> float | None:
    """The share of pairs of a real and a generated row that a discriminator has in the right order, or None.

    The discriminator is the part of the model that makes one number of each row as it is shown.
    """
    for part in model.children():
        try:
            with answering(part):
                scores = [part(each.detach()[:ROWS]) for each in (real, fake)]
        except UNFIT:
            continue
        shown = (len(real[:ROWS]), len(fake[:ROWS]))
        if tuple(each.numel() if isinstance(each, Tensor) else 0 for each in scores) == shown:
            return told_pairs(*scores)
    return None


def told_pairs(real: Tensor, made: Tensor) -> float:
    """The share of pairs of a real and a made row whose answers are in the right order; ties count half."""
    one, two = (each.detach().flatten().float() for each in (real, made))
    pairs = one[:, None] - two[None, :]
    return float((pairs > 0).float().mean() + 0.5 * (pairs == 0).float().mean())


def mode_collapse(record: Record) -> Finding | None:
    """Generated samples that lie much closer to each other than real ones do."""
    spread = record.get("sample spread")
    if not len(spread):
        raise CannotJudge("no generated samples were shown: doctor.generated(fake, real)")
    if _faint(record) and len(spread) > 1 and spread.last(2).max() < 0.5 * LIMITS.sample_spread:
        return _collapsed(record)
    if len(spread) < 4:
        raise CannotJudge("needs samples of four evaluations")
    if uneven(record) and spread.last(4).max() < 0.5 * LIMITS.sample_spread and not _sure(record):
        return _collapsed(record)
    last = spread.last(2)
    if (last >= LIMITS.sample_spread).any() or last[-1] > 1.3 * spread.values[-3]:
        return None
    # A young generator makes much of the same; what was more once has collapsed, or is not getting to be more.
    early = median(spread.array[:3])
    stays = len(spread) >= LIMITS.young_generator and median(spread.last(3)) < 1.1 * early
    if not (last[-1] < 0.5 * max(spread.values) or last.max() < 0.05 or stays):
        return None
    return _collapsed(record)


def uneven(record: Record) -> bool:
    """Whether one player goes so much farther than the other that bad samples need no long watching."""
    return float(record.facts.get("rates apart") or 1.0) > LIMITS.rates_apart


def _sure(record: Record) -> bool:
    """Whether the discriminator has told right from wrong without fail, evaluation after evaluation."""
    told = record.get("told apart")
    return len(told) == len(record.get("sample distance")) and min(told.last(LIMITS.persist)) > LIMITS.told_apart


def _faint(record: Record) -> bool:
    """Whether a generator is given noise that hardly differs from row to row."""
    return float(record.facts.get("noise", 1.0)) < LIMITS.noise


def _apart(record: Record) -> str:
    """What else is known to keep one player from learning, as a sentence."""
    if _faint(record):
        return f" The generator is given noise of deviation {record.facts['noise']:.2g}, where 1 is usual."
    if not uneven(record):
        return ""
    times = record.facts["rates apart"]
    return f" By learning rates and turns one player goes {times:.3g} times as far as the other."


def distances(record: Record) -> Series:
    """How far what is made lies from real rows: at the doctor's own looks, or else as the loop has shown it."""
    heard = record.get("heard distance")
    return heard if len(heard) else record.get("sample distance")


def reached(record: Record) -> float:
    """How far made rows lie from real ones now, which a cure is judged by."""
    distance = distances(record)
    return median(distance.last(3)) if len(distance) else math.nan


def _collapsed(record: Record) -> Finding:
    spread = record.get("sample spread")
    last = spread.last(2)
    evidence = (
        f"Generated samples lie {last[-1]:.0%} as far from each other as real "
        f"ones; it was {max(spread.values):.0%} at most.{_apart(record)}"
    )
    return Finding(
        "mode-collapse",
        "generator",
        "critical" if last[-1] < 0.1 else "warn",
        evidence,
        "The generator has found a few samples that fool the discriminator and makes only these.",
        0.85,
        record.step,
        statistic={
            "value": float(last[-1]),
            "healthy": [LIMITS.sample_spread, 1.5],
            "series": picked(spread),
            "distance": reached(record),
        },
    )


def one_player_wins(record: Record) -> Finding | None:
    """One player's loss near nothing while the other's keeps rising, or samples that stay bad beside one so sure."""
    if len(record.places("player loss")) < 2:
        raise CannotJudge("one player only")
    return by_losses(record) or by_samples(record)


def by_samples(record: Record) -> Finding | None:
    """A discriminator that is always right, or never knows, while samples stay far from real ones."""
    distance, told = record.get("sample distance"), record.get("told apart")
    if len(distance) < (4 if uneven(record) else LIMITS.young_generator) or record.step < 10 * LIMITS.warm_up:
        return None
    first, last = median(distance.array[:3]), median(distance.last(3))
    if last < LIMITS.sample_distance:
        return None
    far = (
        f"Generated samples lie {last:.2f} from real ones, where real ones lie 1 from each other (at first {first:.2f})"
    )
    if _sure(record) and last > NO_BETTER * first:
        evidence = f"{far}, and the discriminator tells {told.values[-1]:.1%} of all pairs of a real and a made one."
        cause = "The discriminator tells right from wrong without effort, so the generator learns nothing from it."
        return _winner("discriminator", evidence, cause, record)
    place = undecided(record, distance.steps[-LIMITS.persist - 1])
    if place is None or last < FAR or mode_collapse(record) is not None:
        return None
    evidence = f"{far}, and the loss of {place} is that of answering one half to all."
    cause = f"{place} learns too slowly beside the other player, which has nothing to learn from it."
    return _winner("generator", evidence, cause, record)


def undecided(record: Record, since: int) -> str | None:
    """The player whose loss has been that of answering one half to all since that step."""
    for place in record.places("player loss"):
        series = record.get("player loss", place)
        losses = series.array[[step >= since for step in series.steps]]
        for guess in GUESSING:
            if (abs(losses / guess - 1) < UNDECIDED).mean() > MOSTLY:
                return place
    return None


def _winner(place: str, evidence: str, cause: str, record: Record) -> Finding:
    distance = record.get("sample distance")
    return Finding(
        "one-player-wins",
        place,
        "warn",
        evidence + _apart(record),
        cause,
        0.75,
        record.step,
        statistic={
            "value": distance.values[-1],
            "healthy": [0, LIMITS.sample_distance],
            "series": picked(distance),
            "distance": reached(record),
        },
    )


def by_losses(record: Record) -> Finding | None:
    """One player's loss near nothing while the other's keeps rising, and made rows come no nearer to real ones."""
    heard, places = record.get("heard distance"), record.places("player loss")
    if len(heard) and median(heard.last(3)) < NO_BETTER * heard.values[0]:
        return None  # a discriminator may be right in all cases and be learned from
    for winner in places:
        own = finite(record.get("player loss", winner).array)
        if len(own) < 5 * LIMITS.warm_up or (own < 0).any():  # a loss below zero, as a critic's, has no floor to reach
            continue
        start, end = median(own[:10]), median(own[-20:])
        for loser in places:
            other = finite(record.get("player loss", loser).array)
            if loser == winner or len(other) != len(own) or (other < 0).any():
                continue
            first, middle, last = (
                median(other[:10]),
                median(smooth(other, 9)[len(other) // 2 - 10 :][:20]),
                median(other[-20:]),
            )
            if end < LIMITS.player_won * start and last > 2.5 * first and last > 0.9 * middle:
                evidence = (
                    f"The loss of {winner} is down to {end:.3g} (from {start:.3g}), that of "
                    f"{loser} up to {last:.3g} (from {first:.3g}).{_apart(record)}"
                )
                return Finding(
                    "one-player-wins",
                    winner,
                    "warn",
                    evidence,
                    f"{winner} tells right from wrong without effort, so {loser} learns nothing from it.",
                    0.85,
                    record.step,
                    statistic={
                        "value": end / max(start, 1e-12),
                        "healthy": [LIMITS.player_won, 2],
                        "series": picked(record.get("player loss", loser)),
                        "distance": reached(record),
                    },
                )
    return None


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "mode-collapse": mode_collapse,
    "one-player-wins": one_player_wins,
}
