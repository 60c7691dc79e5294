"""What a network makes of its training labels to whether they are wrong: by heart only, not at all, or blindly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.course import falling, held_out, learned, noise_of_median, rate_share, typical_updates
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient, answering
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record, finite, median, picked
from trainwell.doctor.telling_check import tells
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
Answers = tuple[np.ndarray, ...]  # of rows: how sure, whether right, the label, all scores
OF_TWO = ("bce", "bce_logits")  # losses of one score or share a row
AGAIN = 4  # steps for each batch of the sample, after which its rows are taken for rows that were learned from
SHOWN = 5  # rows of a class just learned from, with fewer of which a network cannot tell it from others


def note_certainty(
    patient: Patient,
    record: Record,
    batches: list[Any],
    step: int,
    samples: tuple[Sample | None, Sample | None] = (None, None),
) -> None:
    """How often the network is wrong on rows it has just been given, and whether it was less sure where it was.

    Notes the share of wrong rows, how much oftener than the commonest class it is right, the chance that a row that
    it gets right has a surer answer than one that it gets wrong, and how much oftener it is right on held-out rows.

    samples: of the training rows, which are asked where the batches hold too few, and of the held-out rows.
    """
    kind = str(record.facts.get("loss"))
    if kind not in ("cross_entropy", "nll", *OF_TWO):
        return
    first, held = (each.batches if each is not None else [] for each in samples)
    found = _answers(patient, batches, kind) or (_answers(patient, first, kind) if step > AGAIN * len(first) else None)
    if found is None:
        return
    certain, correct, labels, _ = found
    judged = (_answers(patient, held, kind, LIMITS.rows // 5) if held else None) or found
    pair = coin_pair(judged[3], judged[2])
    if pair is not None and min((labels == each).sum() for each in pair[:2]) >= SHOWN:
        record.add(step, "coin", f"{pair[0]} and {pair[1]}", pair[2])
    wrong = 1 - float(correct.mean())
    record.add(step, "wrong rows", "", wrong)
    if record.facts.get("labels clear"):
        return
    record.add(step, "better than chance", "", 1 - wrong - float(np.bincount(labels).max()) / len(labels))
    if not 0 < wrong < 1:
        return
    certainty = tells(certain[~correct], certain[correct], directed=True)
    record.add(step, "certainty", "", certainty)
    others = judged if held and judged is not found and wrong > LIMITS.wrong_rows and certainty < LIMITS.doubt else None
    record.add(step, "better held out", "", 0.0 if others is None else float(others[1].mean()) - (1 - wrong))


@torch.no_grad()
def _answers(patient: Patient, batches: list[Any], kind: str, least: int = LIMITS.rows // 2) -> Answers | None:
    """Of at most 512 rows, the latest first: how sure the answer is, whether it is right, the label, all scores."""
    sure, right, labels, answers = [], [], [], []
    targets = [patient.target_of(batch) for batch in batches]
    if kind in OF_TWO:
        targets = [_kinds(each) for each in targets]
    if not all(isinstance(each, Tensor) and not each.is_floating_point() and each.dim() == 1 for each in targets):
        return None
    if sum(map(len, targets)) < least:
        return None
    for batch, target in zip(reversed(batches), reversed(targets), strict=True):
        try:
            with answering(patient.bare):
                output = patient.output(patient.bare, batch)
                output = _of_two(output, kind) if kind in OF_TWO and output is not None else output
        except (RuntimeError, ValueError, TypeError):  # rows of another kind than the loop itself gives to the model
            return None
        if output is None or output.dim() != 2 or output.shape[1] < 2 or len(output) != len(target):
            return None
        if len(target) and int(target.max()) >= output.shape[1]:
            return None  # places in a space, not scores of classes
        given = target >= 0
        scores, target = output.float()[given], target[given].to(output.device)
        best = scores.max(1)
        others = scores.scatter(1, best.indices[:, None], -torch.inf).logsumexp(1)
        sure.append(best.values - others)  # the logarithm of its odds, which does not run into 1
        right.append(best.indices == target)
        labels.append(target)
        answers.append(scores)
        count = sum(map(len, sure))
        if count >= LIMITS.rows or (count >= LIMITS.rows // 4 and all(bool(each.all()) for each in right)):
            break  # where so many are right without exception, no more of them can be wrong than a rule asks for
    if not sum(map(len, labels)):
        return None
    return tuple(torch.cat(each).cpu().numpy() for each in (sure, right, labels, answers))


def _kinds(target: Any) -> Tensor | None:
    """Of shares that are all 0 or 1, one a row, the classes 0 and 1."""
    if not isinstance(target, Tensor) or target.numel() != len(target) or not ((target == 0) | (target == 1)).all():
        return None
    return target.flatten().long()


def _of_two(output: Tensor, kind: str) -> Tensor | None:
    """One score or share a row as the scores of two classes."""
    if output.numel() != len(output):
        return None
    scores = output.flatten().float()
    scores = torch.logit(scores, 1e-7) if kind == "bce" else scores
    return torch.stack([torch.zeros_like(scores), scores], 1)


def coin_pair(scores: np.ndarray, labels: np.ndarray) -> tuple[int, int, float] | None:
    """Two classes whose rows' scores tell their labels no better than chance, while nearly all other rows are right:
    (one, other, share of pairs told apart).

    scores: (rows, classes)
    """
    kinds, answers = np.unique(labels), scores.argmax(1)
    if len(kinds) < 4 or not np.isfinite(scores).all():
        return None
    wrong = {
        (int(one), int(other)): int(((labels == one) & (answers == other) | (labels == other) & (answers == one)).sum())
        for place, one in enumerate(kinds)
        for other in kinds[place + 1 :]
    }
    one, other = max(wrong, key=lambda pair: wrong[pair])
    ahead = scores[:, one] - scores[:, other]
    first, second = ahead[labels == one], ahead[labels == other]
    if min(len(first), len(second)) < 20:
        return None
    told = tells(second, first, directed=True)
    error = ((len(first) + len(second) + 1) / (12 * len(first) * len(second))) ** 0.5
    if (answers != labels)[~np.isin(labels, (one, other))].mean() > LIMITS.wrong_rows or told > 0.5 + 2 * error:
        return None
    return one, other, told


def _pair_by_chance(record: Record) -> Finding | None:
    """Two classes whose labels follow no rule that the network could find, at look after look."""
    if len(record.get("wrong rows")) < 2:
        raise CannotJudge("needs classes, and two looks at rows that were just given")
    looks = record.get("wrong rows").steps[-2:]
    for pair in record.places("coin"):
        if record.get("coin", pair).steps[-2:] == looks and looks[0] >= 4 * LIMITS.warm_up:
            share = record.get("coin", pair).last(2)
            return Finding(
                "label-noise",
                f"classes {pair}",
                "warn",
                f"The scores tell the classes {pair} apart in {share[-1]:.0%} of pairs of rows, as a coin would, "
                f"while of the rows of other classes at least {1 - LIMITS.wrong_rows:.0%} are right.",
                "Whoever labelled these two could not tell them apart, or their labels were mixed up.",
                0.8,
                record.step,
                statistic={"value": float(share[-1]), "healthy": [0.7, 1.0]},
            )
    return None


def label_noise(record: Record) -> Finding | None:
    """Labels that inputs do not explain: none of them, part of them, or only by heart."""
    reasons, judged = [], False
    for rule in (_sure_where_wrong, _pair_by_chance, _only_by_heart, _nothing_to_learn):
        try:
            finding = rule(record)
        except CannotJudge as reason:
            reasons.append(str(reason))
            continue
        judged = True
        if finding is not None:
            return finding
    if not judged:
        raise CannotJudge(reasons[0])
    return None


def _sure_where_wrong(record: Record) -> Finding | None:
    """A network that has learned the classes well, and is as sure where its answer differs from the label as where it
    agrees.

    In a hard task, rows near a border are the ones that are missed, and the answers to them less sure. Wrong labels
    strike rows without regard to how clear they are.
    """
    certainty, wrong = record.get("certainty").last(2), record.get("wrong rows").last(2)
    if len(certainty) < 2:
        raise CannotJudge("needs classes, and two looks at rows that were just given")
    better = record.get("better than chance").last(2)
    if wrong.min() < LIMITS.wrong_rows:
        return None  # nearly right
    ahead = record.get("better held out").last(2)
    # Held-out rows that fit better than the rows just learned from have better labels.
    apart = 4 * (wrong[-1] * (1 - wrong[-1]) / LIMITS.rows) ** 0.5
    fairer = len(ahead) == 2 and ahead.min() > max(LIMITS.fairer, apart)
    far = better.min() >= LIMITS.better_than_chance
    if not far and not fairer:
        return None  # where so many labels are wrong that nothing agrees with them, held-out rows alone show it
    if float(certainty.mean()) > (LIMITS.doubt if far and fairer else LIMITS.certainty):
        return None
    began = record.get("certainty").steps[-2]
    if began < 2 * LIMITS.warm_up or certainty[-1] - certainty[0] > 0.05:
        return None  # it grows as a network learns
    young = began < 4 * LIMITS.warm_up or (began < 10 * LIMITS.warm_up and falling(record))
    if not fairer and (young or wrong[0] - wrong[-1] > 0.1):
        return None  # a network that has yet to bend is sure of what a straight line says
    evidence = (
        f"{wrong[-1]:.0%} of the rows have another label than the network's answer, {better[-1]:.0%} more agree than "
        f"the commonest class would; a right answer is the surer one in only {certainty.mean():.0%} of pairs "
        "(50% is chance, a hard task gives 70% and more)."
        + (f" On held-out rows it is right {ahead[-1]:.0%} oftener." if fairer else "")
    )
    return Finding(
        "label-noise",
        "target",
        "warn",
        evidence,
        "Labels are wrong without regard to how clear the row is: drawn anew, or swapped between classes.",
        0.85 if fairer else 0.7,
        record.step,
        statistic={
            "value": float(certainty.mean()),
            "healthy": [LIMITS.certainty, 1.0],
            "series": picked(record.get("certainty")),
        },
    )


def _nothing_to_learn(record: Record) -> Finding | None:
    """Nothing learned in many healthy steps, of labels of which a row's neighbors tell nothing either."""
    agreement, chance = record.facts.get("neighbor agreement"), record.facts.get("commonest class")
    if agreement is None or not chance or chance > 0.6 or record.step < 7 * LIMITS.warm_up:
        raise CannotJudge(f"needs neighbors to compare with and {7 * LIMITS.warm_up} steps")
    if record.step * (record.facts.get("rows a batch") or 1) < LIMITS.many_rows:
        raise CannotJudge(f"needs {LIMITS.many_rows:,} rows learned from")
    moves = [each for each in typical_updates(record)[-LIMITS.persist :] if np.isfinite(each)]
    moving = len(moves) >= LIMITS.persist and 1e-4 < median(moves) < LIMITS.update_high
    error = (chance * (1 - chance) / LIMITS.rows) ** 0.5
    if not moving or rate_share(record) < 0.3 or agreement > chance + 2 * error:
        return None
    if learned(record) - 2 * noise_of_median(record) > 0.03:
        return None
    evidence = (
        f"After {record.step} steps of a healthy size {max(0.0, learned(record)):.0%} of the way is learned, and the "
        f"vote of ten neighbors is right in {agreement:.0%} of cases, where one class alone gives {chance:.0%}."
    )
    return Finding(
        "label-noise",
        "target",
        "warn",
        evidence,
        "The labels do not belong to their inputs: shuffled, shifted by a row, or unrelated.",
        0.7,
        record.step,
        statistic={"value": agreement - chance, "healthy": [2 * error, 1.0], "series": picked(record.get("loss"))},
    )


def _right_beyond_chance(record: Record) -> bool:
    """Whether held-out rows were right oftener than the commonest class is, however dear the wrong ones were."""
    right, chance = record.get("held out", "accuracy").last(3), record.facts.get("commonest class")
    rows = max(1, record.facts.get("held-out rows") or LIMITS.rows)
    if not len(right) or chance is None:
        return False
    return bool(min(right) > chance + 4 * (chance * (1 - chance) / rows) ** 0.5)


def _only_by_heart(record: Record) -> Finding | None:
    """A training loss far below that of guessing while the validation loss never was: labels that inputs do
    not explain."""
    held, prior = held_out(record), record.facts.get("prior loss")
    if record.facts.get("loss") != "cross_entropy" or not prior or len(held) < 4:
        raise CannotJudge("needs classes and four evaluations")
    losses = finite(record.get("loss").array)
    known = finite(held.array)
    if len(known) < 4:
        raise CannotJudge("needs classes and four evaluations")
    again = record.get("rows again").last(LIMITS.persist)
    if len(again) and again.min() > 0.95 and (record.facts.get("rows known") or 0) < LIMITS.few_rows:
        raise CannotJudge("so few rows are learned by heart, whatever their labels are")
    best, end = float(known.min()), median(losses[-20:])
    agreement, chance = record.facts.get("neighbor agreement"), record.facts.get("commonest class", 0.0)
    # Labels that follow the inputs are learned by heart where rows are few, which is no fault of theirs.
    near = agreement is not None and agreement > chance + 4 * (chance * (1 - chance) / LIMITS.rows) ** 0.5
    if (record.facts.get("class ratio") or 1.0) > LIMITS.imbalance:
        return None  # a few rare rows more or less move the held-out loss as far
    if record.facts.get("classes lost"):
        return None  # what was never drawn cannot be answered
    if best < 0.97 * prior or end > 0.85 * prior or near or _right_beyond_chance(record):
        return None
    evidence = (
        f"The training loss fell to {end:.3g}, the validation loss never below {best:.3g}; guessing gives {prior:.3g}."
        + (
            ""
            if agreement is None
            else f" Neighbors share their label in {agreement:.0%} of cases, chance gives {chance:.0%}."
        )
    )
    return Finding(
        "label-noise",
        "target",
        "critical",
        evidence,
        "The labels do not belong to their inputs: shuffled, shifted by a row, or unrelated.",
        0.85,
        record.step,
        statistic={"value": best / prior, "healthy": [0, 0.97], "series": picked(held)},
    )


def one_label(record: Record) -> Finding | None:
    """Every row so far with the same label, for more rows than a matter of order would take."""
    lowest, highest = record.get("label", "lowest"), record.get("label", "highest")
    if len(lowest) < LIMITS.persist + 2:
        raise CannotJudge("needs one class a row, looked at five times")
    rows, planned = record.facts.get("rows a batch") or 0, record.facts.get("steps") or 0
    label = lowest.values[0]
    if any(each != label for each in (*lowest.values, *highest.values)) or (record.facts.get("classes") or 0) < 2:
        return None
    if rows * (record.step - lowest.steps[0]) < LIMITS.one_label_rows or record.step < 0.15 * planned:
        return None
    again = any(share > 0 for share in record.get("rows again").values)  # then all kinds of rows were met
    if label >= 0 and (record.facts.get("labels held out") or 0) > 1 and not again:
        return Finding(
            "data-not-shuffled",
            "loader",
            "critical",
            f"All rows looked at in {record.step} steps of {rows} have the label {label:g}, and held-out rows have "
            f"{record.facts['labels held out']} labels.",
            "The rows of one class come first: shuffle them.",
            0.9,
            record.step,
            statistic={"value": label, "instead of": "class-imbalance"},
        )
    return Finding(
        "targets-out-of-range",
        "target",
        "critical",
        f"All rows looked at in {record.step} steps of {rows} have the label {label:g}, of "
        f"{record.facts['classes']} that the network can answer.",
        "The mapping from labels to classes gives every row the same one, or the rows of one class come first.",
        0.9,
        record.step,
        statistic={"value": label, "instead of": "data-not-shuffled"},
    )


def other_labels(record: Record) -> Finding | None:
    """Held-out rows that the network would get right if their labels were numbered otherwise."""
    better = record.get("better by other labels").last(2)
    if len(better) < 2:
        raise CannotJudge("needs two evaluations of held-out rows of classes")
    if better.min() < LIMITS.other_numbers:
        return None
    off = int(record.facts.get("labels off by") or 0)
    if off:
        return Finding(
            "targets-out-of-range",
            "target",
            "critical",
            f"With {off:+d} to every answer {better[-1]:.0%} more of the held-out rows would be right.",
            "The training rows' labels are counted from another number than the held-out rows', as from 1 and from 0.",
            0.9,
            record.step,
            statistic={"value": float(better[-1]), "healthy": [0, LIMITS.other_numbers]},
        )
    return Finding(
        "preprocessing-mismatch",
        "target",
        "critical",
        f"With the labels of the held-out rows numbered in another order {better[-1]:.0%} more of them would be right.",
        "The held-out labels were coded by themselves, in another order than the training labels.",
        0.9,
        record.step,
        statistic={"value": float(better[-1]), "healthy": [0, LIMITS.other_numbers]},
    )


RULES: dict[str, Callable[[Record], Finding | None]] = {
    "label-noise": label_noise,
    "targets-out-of-range": one_label,
    "preprocessing-mismatch": other_labels,
}
