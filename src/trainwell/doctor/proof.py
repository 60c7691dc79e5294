"""A suspicion to what twins of the training make of it: borne out, given another name, or refuted."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainwell.doctor.bottleneck import by_width
from trainwell.doctor.by_half import by_half, not_among
from trainwell.doctor.by_heart import answers_of_others
from trainwell.doctor.dropping import without_dropout
from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.patient import Patient, leaving_no_trace
from trainwell.doctor.remedy import Chart, shorten_memory
from trainwell.doctor.surgery import straighten
from trainwell.doctor.suspect import TO_PROVE, Suspect, slower
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.twin import Change, Twin, run_twin, scaled_rate, without_decay

OWN, TENTH = "as it is", "a tenth of the rate"
LESS = {"a hundredth of the rate": 0.01, "a thousandth of the rate": 0.001}
HIGHEST = "the highest rate"
TOO_LONG = "Steps that are too long for the slope jump over the valley."
FROM_THE_START = {
    "learning-rate-too-high",
    "update-ratio-off",
    "exploding-gradient",
    "oscillating-loss",
    "plateau",
    "dying-relu",
    "saturated-activations",
}
LEARNED_NOTHING = 0.05  # of the way to a loss of zero
FREER = 0.9  # of the loss on other batches, that without restraint is left at most
NO_WORSE = 0.9  # of the loss that the training has, which copies without dropout must come below
OUTDONE = 0.7  # of the loss that a training is stuck at, which a copy of it comes below
FEW_ROWS = 4  # a batch, of which steps that swing follow the rows rather than the rate
APART = 2  # batches at least that twins are judged on
TRIED_ON_COPIES = {"by half": by_half, "by width": by_width}  # suspicions that their own copies bear out
SLOW = {"plateau", "update-ratio-off", "learning-rate-too-low"}


class Proof:
    """Twins within a budget of steps, a share of those done so far or planned; what one suspicion had tried is kept."""

    def __init__(self, share: float) -> None:
        self.share, self.spent, self.seconds = share, 0, 0.0
        self.began, self.planned = time.perf_counter(), 0.0
        self.refuted: dict[str, int] = {}
        self.kept: dict[str, tuple[int, dict[str, Twin]]] = {}  # "start", "now" or a change -> (step, twins)

    def may_spend(self, steps: int, done: int, planned: int, least: int = TO_PROVE) -> bool:
        whole = max(self.planned, time.perf_counter() - self.began)
        late = self.seconds > max(THRESHOLDS.proof_seconds, THRESHOLDS.proof_share * whole)
        return not late and self.spent + steps <= max(least, self.share * max(done, planned))

    def compare(
        self,
        patient: Patient,
        batches: Sequence[Any],
        changes: dict[str, Change | None],
        steps: int,
        judge: bool = False,
        apart: Sequence[Any] = (),
    ) -> dict[str, Twin]:
        """One twin a change, all from the same weights, batches and random numbers; judged on those given apart, or
        (judge) on the last batches, which then are not trained on."""
        twins = {}
        if judge and len(batches) > 2 * APART:
            apart = batches[-max(APART, len(batches) // 4) :]
            batches = batches[: len(batches) - len(apart)]
            apart = not_among(patient, batches, apart)
        for name, change in changes.items():
            twins[name] = twin = run_twin(patient, batches, steps, change, apart=apart)
            self.spent += len(twin.losses)
            self.seconds += twin.seconds
        return twins

    def now(self, suspect: Suspect) -> float:
        """The loss of the training's present weights on the batches that twins are judged on."""
        return self.compare(suspect.patient, suspect.batches, {OWN: None}, 0, judge=True)[OWN].apart

    def forget(self) -> None:
        """After a treatment nothing tried before holds any more."""
        self.refuted, self.kept = {}, {}


def confirm(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """The finding with what its twins showed, renamed where they point elsewhere, or None where they refute it."""
    if "given" in finding.statistic:
        return finding  # measured, and copies know nothing of what the loop does
    if own := TRIED_ON_COPIES.keys() & set(finding.statistic):
        return TRIED_ON_COPIES[own.pop()](finding, suspect, proof)
    if finding.where == "momentum":
        return _changed_is_better(finding, suspect, proof, {"a momentum of 0.9": _usual_momentum})
    if "eased" in finding.statistic:
        change = {"residual layers": eased(suspect, finding)}
        return _changed_is_better(finding, suspect, proof, change) if can_be_eased(suspect, finding) else None
    crawls = finding.name == "update-ratio-off" and finding.statistic.get("value", 1.0) < 1e-4
    if finding.name in FROM_THE_START and not crawls:
        twins = _from_the_start(suspect, proof)
        if twins is not None:
            told = _lower_is_better(finding, twins, suspect)
            if told is None or told.name == "learning-rate-too-high" or finding.name == "update-ratio-off":
                return told if told is None or told.name == "learning-rate-too-high" else None
    if finding.name == "over-regularized" and not finding.statistic.get("gone"):
        return _freer_is_better(finding, suspect, proof)
    if "highest" in finding.statistic:
        return _raised_is_better(finding, suspect, proof)
    if finding.name in SLOW | {"oscillating-loss"}:
        twins = _from_now(suspect, proof, (0.1,) if finding.name == "oscillating-loss" else _higher(finding))
        if twins is not None:
            return _either_is_better(finding, twins, suspect)
        weak = finding.statistic.get("value", 0.0) > 1e-4 and not finding.statistic.get("nothing")
        if finding.name in ("update-ratio-off", "oscillating-loss") or weak:
            return None  # too weak to be told without a proof, and the budget for proofs is spent
    return finding


def _from_the_start(suspect: Suspect, proof: Proof) -> dict[str, Twin] | None:
    """As it is and at a tenth of the rate, from the first weights; at less and less where that does not learn."""
    if "start" not in proof.kept:
        if not proof.may_spend(2 * suspect.length, suspect.step, suspect.planned):
            return None
        changes: dict[str, Change | None] = {OWN: suspect.start, TENTH: slower(suspect, 0.1)}
        twins = proof.compare(suspect.patient, suspect.batches, changes, suspect.length)
        proof.kept["start"] = suspect.step, twins
        own, first = twins[OWN].end, twins[OWN].losses[0]
        for words, factor in LESS.items():
            learns = own <= 0.8 * first or any(twin.end < first for name, twin in twins.items() if name != OWN)
            if learns or (factor < 0.01 and own < 10 * first):
                break
            twins |= proof.compare(suspect.patient, suspect.batches, {words: slower(suspect, factor)}, suspect.length)
    return proof.kept["start"][1]


def does_best(change: Any, suspect: Suspect, proof: Proof, margin: float = 1.0) -> bool:
    """Whether a twin with this change, from the first weights, ends below this share of where those at the own rate
    and at less do; half as far below them is enough where none of those learns."""
    if _from_the_start(suspect, proof) is None or not proof.may_spend(suspect.length, suspect.step, suspect.planned):
        return False

    def changed(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        change(model, optimizers)

    (twin,) = proof.compare(suspect.patient, suspect.batches, {"": changed}, suspect.length).values()
    best = min(each.end for each in proof.kept["start"][1].values())
    less = (1 - margin) * (abs(best) if math.isfinite(best) else 0.0)
    return twin.end < best - (less / 2 if best > (1 - LEARNED_NOTHING) * twin.losses[0] else less)


def outdone(suspect: Suspect, proof: Proof) -> bool:
    """Whether a copy, at the same rate from the first weights, learns what the training in more steps has not: then
    something between loss and step differs, which the copy knows nothing of."""
    twins = _from_the_start(suspect, proof) if suspect.gone < 0.1 else None
    if twins is None or suspect.step < len(twins[OWN].losses):
        return False
    least = OUTDONE * min(twins[OWN].losses[0], suspect.guess, suspect.now)
    if not twins[OWN].end < least or not suspect.seen:
        return twins[OWN].end < least
    # Of few batches a copy may have learned no more than those by heart.
    (twin,) = proof.compare(suspect.patient, suspect.most, {OWN: suspect.start}, suspect.length, judge=True).values()
    return not twin.apart >= least


def _from_now(suspect: Suspect, proof: Proof, factors: Sequence[float]) -> dict[str, Twin] | None:
    """As it is and with the rate times each factor, from the present weights; a factor that does well ends the search.

    What was tried is kept until twice as many steps are done.
    """
    key, judge = ("now", True) if min(factors) > 1 else ("now, slower", False)
    step, twins = proof.kept.get(key, (0, {}))
    if not twins or suspect.step > 2 * step + 20:
        step, twins = suspect.step, {}
    changes: dict[str, Change | None] = {OWN: None}
    changes |= {f"{factor:g} times the rate": scaled_rate(factor) for factor in factors}
    for name, change in changes.items():
        if name not in twins:
            if not proof.may_spend(suspect.length, suspect.step, suspect.planned):
                break
            twins |= proof.compare(suspect.patient, suspect.batches, {name: change}, suspect.length, judge)
        if twins[name].end < 0.7 * twins[OWN].losses[0]:
            break
    proof.kept[key] = step, twins
    return twins or None


def _higher(finding: Finding) -> tuple[float, ...]:
    """Factors on a rate, up to one at which steps as short as these would come to a hundredth of the weights."""
    value = float(finding.statistic.get("value") or 0.0)
    top = max(1000.0, 10.0 ** math.ceil(-2 - math.log10(value))) if 1e-12 < value < 1e-5 else 1000.0
    return top / 100, top / 10, top


def _lower_is_better(finding: Finding, twins: dict[str, Twin], suspect: Suspect) -> Finding | None:
    own, words = twins[OWN], min((name for name in twins if name != OWN), key=lambda name: twins[name].end)
    low, first = twins[words], own.losses[0]
    # What was learned counts from guessing, not from first weights that are worse than it.
    own_fails = own.end > 0.5 * min(first, suspect.guess) or not math.isfinite(own.end) or suspect.gone < 0.1
    # The slow twin has had only a tenth of the way, so it is enough that it ends lower and has fallen.
    if low.far_below(own) and low.end < first and (own_fails or finding.statistic.get("diverging")):
        keep_curves(finding, twins)
        text = f" On a copy, {len(low.losses)} steps at {words} end at {low.end:.3g}, as it is at {own.end:.3g}."
        return renamed(finding, "learning-rate-too-high", text, TOO_LONG)
    if finding.name == "learning-rate-too-high":
        if not finding.statistic.get("diverging"):
            return None
        keep_curves(finding, twins)
        thrown = finding.statistic.get("at once") and own.end < low.end
        if own.end < 0.5 * first or thrown:  # the same rate does well from the start: something threw the weights off
            text = f" From the first weights {len(own.losses)} steps at this rate end at {own.end:.3g}."
            cause = "One batch, or one step that was too long, threw the weights off."
            told = renamed(finding, "loss-spike", text, cause)
            told.confidence = 0.7
            return told
        finding.confidence = min(finding.confidence, 0.5)
        if suspect.heard or not finding.statistic.get("beyond the start"):
            finding.severity = "note"  # a rise that no lower rate would have spared it; its loss may have to rise
    return finding


def _either_is_better(finding: Finding, twins: dict[str, Twin], suspect: Suspect) -> Finding | None:
    own, others = twins[OWN], {name: twin for name, twin in twins.items() if name != OWN}
    first = own.losses[0]
    if finding.name == "oscillating-loss":
        slower = others.get("0.1 times the rate")
        if slower is None or not slower.far_below(own):
            return None
        keep_curves(finding, {OWN: own, "0.1 times the rate": slower})
        finding.confidence = 0.9
        if 0 < (rows := suspect.patient.rows(suspect.batches[-1])) <= FEW_ROWS:
            text = f" A batch has {rows} row{'s' if rows > 1 else ''}."
            return renamed(finding, "batch-too-small", text, "A step follows its few rows, not the data.")
        return finding
    unrelated = answers_of_others(finding, list(twins.values()), suspect)
    if unrelated is not None or not others:  # and so the copy that goes on as it is learns well
        return unrelated
    # A rate at which a few batches are learned by heart proves nothing: other batches must gain as well.
    gains = {name: twin for name, twin in others.items() if not own.apart - twin.apart < 0.2 * (own.end - twin.end)}
    name = min(gains or others, key=lambda each: others[each].end)
    best, gained = others[name], first - own.end
    if gains and math.isfinite(best.end) and first - best.end > max(0.05 * abs(first), 3 * gained):
        keep_curves(finding, twins)
        text = f" On a copy, {len(best.losses)} steps at {name} end at {best.end:.3g}, as it is at {own.end:.3g}."
        if name.startswith("0.1"):
            return renamed(finding, "learning-rate-too-high", text, TOO_LONG)
        return renamed(finding, "learning-rate-too-low", text, "Steps that are too short get nowhere in time.")
    if finding.name in ("learning-rate-too-low", "update-ratio-off") and not finding.statistic.get("value", 1.0) < 1e-5:
        return None
    return finding


def _raised_is_better(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """From now: as it is, and back at the highest rate; judged on batches that neither is trained on."""
    if not proof.may_spend(2 * suspect.length, suspect.step, suspect.planned):
        return finding if suspect.planned else None
    # The schedule may have gone on since the rate was read, so what it takes to be back is asked of the rate as it is.
    factor = finding.statistic["highest"] / max(suspect.patient.rate, 1e-300)
    changes: dict[str, Change | None] = {OWN: None, HIGHEST: scaled_rate(factor)}
    twins = proof.compare(suspect.patient, suspect.batches, changes, suspect.length, judge=True)
    own, high = twins[OWN], twins[HIGHEST]
    before, after = (own.apart, high.apart) if math.isfinite(own.apart) else (own.end, high.end)
    if not after < before - 0.02 * abs(before):
        # Some 50 steps are few; but no plan that has yet to learn anything has its schedule behind it.
        return finding if suspect.gone < LEARNED_NOTHING else None
    keep_curves(finding, twins)
    finding.evidence += (
        f" On a copy, {len(high.losses)} steps at the highest rate bring the loss of other batches to {after:.3g}, "
        f"as it is to {before:.3g}."
    )
    finding.confidence = 0.95
    return finding


def _freer_is_better(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """Without decay and dropout, and as it is: from the first weights, or from now where the training has settled."""
    if finding.statistic.get("settled"):
        return _freer_goes_on(finding, suspect, proof)
    steps = max(50, suspect.length)  # what decay does to weights takes time to show
    if not proof.may_spend(2 * steps, suspect.step, suspect.planned):
        return finding if finding.where != "dropout" else None

    def freed(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        without_dropout(model, optimizers)
        without_decay(model, optimizers)

    changes: dict[str, Change | None] = {OWN: suspect.start, "without decay and dropout": freed}
    own, free = (twins := proof.compare(suspect.patient, suspect.most, changes, steps, judge=True)).values()
    gained, freely = own.losses[0] - own.end, own.losses[0] - free.end
    by_heart = own.apart - free.apart < 0.5 * (own.end - free.end)  # more than half of it on other batches as well
    much = freely > max(3 * gained, 0.05 * abs(own.losses[0])) and not by_heart
    # Dropout is off where both are judged. It always takes time; what takes more than half of what could be learned
    # does harm.
    first = own.losses[0]
    lighter = finding.where == "dropout" and first - own.apart < 0.5 * (first - free.apart)
    if lighter and not much and suspect.step > steps:
        # In more steps than its copies had, the training may have come as far with it.
        lighter = not free.apart > NO_WORSE * proof.now(suspect)
    if not (free.end < 0.5 * own.end or much or lighter):
        return None
    keep_curves(finding, twins)
    finding.evidence += (
        f" On a copy, {len(free.losses)} steps without it end at {free.end:.3g}, as it is at {own.end:.3g}."
    )
    finding.confidence = 0.9
    return finding


def _freer_goes_on(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """From now: as it is, and without decay and dropout; judged on batches that neither is trained on."""
    if not proof.may_spend(2 * suspect.length, suspect.step, suspect.planned):
        return None

    def freed(model: Any, optimizers: Any) -> None:
        without_dropout(model, optimizers)
        without_decay(model, optimizers)

    changes: dict[str, Change | None] = {OWN: None, "without decay and dropout": freed}
    own, free = (twins := proof.compare(suspect.patient, suspect.batches, changes, suspect.length, judge=True)).values()
    if not free.apart < FREER * own.apart:
        return None
    keep_curves(finding, twins)
    finding.evidence += (
        f" On a copy, {len(free.losses)} steps without it bring the loss of other batches to {free.apart:.3g}, "
        f"as it is to {own.apart:.3g}."
    )
    finding.confidence = 0.9
    return finding


def _changed_is_better(finding: Finding, suspect: Suspect, proof: Proof, changes: dict[str, Change]) -> Finding | None:
    """From the first weights: as it is, and with the one change that the suspicion asks for."""
    steps = max(50, suspect.length)
    ((name, change),) = changes.items()

    def changed(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        change(model, optimizers)

    if name not in proof.kept:
        if not proof.may_spend(2 * steps, suspect.step, suspect.planned):
            return None  # what is only suspected is not told without a proof
        both: dict[str, Change | None] = {OWN: suspect.start, name: changed}
        twins = proof.compare(suspect.patient, suspect.batches, both, steps, judge=True)
        proof.kept[name] = suspect.step, twins
    twins = proof.kept[name][1]
    own, other = twins[OWN], twins[name]
    # The training itself, which has had more steps, may be what a copy with the change leaves behind.
    ahead = suspect.step >= 2 * steps and math.isfinite(suspect.now) and other.apart < 0.8 * suspect.now
    if not (other.end < own.losses[0] and (other.end < 0.8 * own.end or ahead)):
        return None
    keep_curves(finding, twins)
    finding.evidence += f" On a copy, {len(other.losses)} steps with {name} end at {other.end:.3g}, "
    finding.evidence += f"as it is at {own.end:.3g}"
    finding.evidence += f"; the training itself is at {suspect.now:.3g}." if math.isfinite(suspect.now) else "."
    finding.confidence = 0.95
    return finding


def _usual_momentum(model: Any, optimizers: Any) -> None:
    for optimizer in optimizers.values():
        shorten_memory(optimizer)


def eased(suspect: Suspect, finding: Finding) -> Change:
    """A deep stack made residual, or its saturating activations straight."""

    def change(model: Any, optimizers: Any) -> None:
        patient = replace(suspect.patient, model=model, optimizers=optimizers)
        straighten(Chart(patient, None, {}, own_loop=False), finding)

    return change


def can_be_eased(suspect: Suspect, finding: Finding) -> bool:
    """Whether the network has a stack that this changes, found out on a copy."""
    with leaving_no_trace():
        model, optimizers = suspect.patient.copy()
        patient = replace(suspect.patient, model=model, optimizers=optimizers)
        return straighten(Chart(patient, None, {}, own_loop=False), finding) is not None


def renamed(finding: Finding, name: str, evidence: str, cause: str) -> Finding:
    """The finding under the name that its twins proved."""
    finding.evidence += evidence
    if finding.name != name:
        finding.name, finding.remedy = name, AILMENTS[name].remedy
    finding.cause, finding.confidence = cause, 0.95
    if finding.severity == "note":
        finding.severity = "warn"
    return finding


def keep_curves(finding: Finding, twins: dict[str, Twin]) -> None:
    """The twins' losses into the finding's statistic, for its plot."""
    curves = {name: [value if math.isfinite(value) else None for value in twin.losses] for name, twin in twins.items()}
    finding.statistic.setdefault("twin", {}).update(curves)
