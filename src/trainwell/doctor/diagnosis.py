"""Findings to a diagnosis: which are causes, which their symptoms, each suspicion tried on twins before it is told."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.twin import Change, Twin, run_twin, scaled_rate, without_decay, without_dropout

OWN, TENTH, HUNDREDTH = "as it is", "a tenth of the rate", "a hundredth of the rate"
FROM_THE_START = {
    "learning-rate-too-high",
    "update-ratio-off",
    "exploding-gradient",
    "oscillating-loss",
    "plateau",
    "dying-relu",
    "saturated-activations",
}
SLOW = {"plateau", "update-ratio-off", "learning-rate-too-low"}
STUCK = {
    "plateau",
    "cannot-fit-one-batch",
    "underfitting",
    "update-ratio-off",
    "learning-rate-too-low",
    "no-long-range-signal",
}
ROUGH = {"oscillating-loss", "loss-spike", "exploding-gradient", "update-ratio-off", "learning-rate-too-high"}
DEAD = {
    "dying-relu",
    "saturated-activations",
    "vanishing-gradient",
    "disconnected-parameters",
    "representation-collapse",
    "non-finite-values",
}
ILL = STUCK | ROUGH | DEAD  # whatever a training may show once something is wrong
START = {"wrong-initial-loss", "bad-initialization"}
# A cause, and what else may be seen because of it. Of two that explain each other, the upper one is the cause.
EXPLAINS: dict[str, set[str]] = {
    "gradient-ascent": ILL | START,
    "bad-features": ILL | START | {"input-not-normalized", "label-noise"},
    "targets-out-of-range": ILL | START | {"label-noise", "class-imbalance"},
    "loss-head-mismatch": ILL | START | {"learning-slowdown", "overfitting"},
    "input-not-normalized": ILL | START | {"preprocessing-mismatch"},
    "missing-zero-grad": ILL,
    "bad-initialization": ILL | {"wrong-initial-loss", "learning-slowdown"},
    "wrong-initial-loss": ILL,
    "data-not-shuffled": ILL | {"targets-out-of-range", "label-noise"},
    "learning-slowdown": STUCK | DEAD,
    "over-regularized": STUCK | DEAD,
    "learning-rate-too-high": ROUGH | DEAD | {"plateau", "learning-rate-too-low"},
    "saturated-activations": STUCK | {"vanishing-gradient", "oscillating-loss"},
    "vanishing-gradient": STUCK | {"disconnected-parameters"},
    "underfitting": {"cannot-fit-one-batch", "plateau"},
    "cannot-fit-one-batch": STUCK | DEAD,
    "disconnected-parameters": STUCK,
    "dying-relu": STUCK | {"vanishing-gradient", "disconnected-parameters", "representation-collapse"},
    "loss-spike": {"exploding-gradient", "oscillating-loss", "update-ratio-off", "plateau"},
    "exploding-gradient": {"loss-spike", "oscillating-loss", "update-ratio-off"},
    "learning-rate-too-low": {"plateau", "update-ratio-off", "underfitting"},
    "label-noise": {"plateau", "overfitting", "underfitting"},
    "batch-too-small": STUCK | ROUGH,
    "class-imbalance": {"plateau"},
    "non-finite-values": ILL,
    "preprocessing-mismatch": {"overfitting"},
    "wrong-train-eval-mode": {"overfitting", "preprocessing-mismatch"},
}


def explained_by(name: str, known: Sequence[Finding]) -> Finding | None:
    """The finding among those known that explains this one, and is not explained by it."""
    order = list(EXPLAINS)
    for finding in known:
        if finding.name == name or name not in EXPLAINS.get(finding.name, set()) or finding.severity == "note":
            continue
        mutual = finding.name in EXPLAINS.get(name, set())
        if finding.name == "cannot-fit-one-batch" and finding.severity == "critical":
            mutual = False  # the inputs make no difference, so no size or length of the training would
        if not mutual or order.index(finding.name) < order.index(name):
            return finding
    return None


class Proof:
    """Twins within a budget of steps; what one suspicion had tried is at hand for the next.

    share: of the steps done so far (or planned) that may be spent on twins.
    """

    def __init__(self, share: float) -> None:
        self.share, self.spent, self.seconds = share, 0, 0.0
        self.began, self.planned = time.perf_counter(), 0.0
        self.refuted: dict[str, int] = {}
        self.kept: dict[str, tuple[int, dict[str, Twin]]] = {}  # "start" or "now" -> (step, twins)

    def may_spend(self, steps: int, done: int, planned: int) -> bool:
        whole = max(self.planned, time.perf_counter() - self.began)
        late = self.seconds > max(THRESHOLDS.proof_seconds, THRESHOLDS.proof_share * whole)
        return not late and self.spent + steps <= max(210, self.share * max(done, planned))

    def compare(
        self, patient: Patient, batches: Sequence[Any], changes: dict[str, Change | None], steps: int
    ) -> dict[str, Twin]:
        """One twin a change, all from the same weights, batches and random numbers."""
        twins = {}
        for name, change in changes.items():
            twins[name] = twin = run_twin(patient, batches, steps, change)
            self.spent += len(twin.losses)
            self.seconds += twin.seconds
        return twins

    def forget(self) -> None:
        """After a treatment nothing tried before holds any more."""
        self.refuted, self.kept = {}, {}


class Diagnosis:
    """What ails, in the order of gravity, and what else was seen because of it.

    suspect: gives what a suspicion is tried on at this moment, or None where nothing can be tried.
    """

    def __init__(self, proof: Proof, suspect: Callable[[], "Suspect | None"]) -> None:
        self.proof, self.suspect = proof, suspect
        self.findings: list[Finding] = []
        self.symptoms: list[Finding] = []

    def take(self, finding: Finding, step: int) -> None:
        """Take in a rule's finding, unless it is known, explained by another, or refuted by its twins."""
        graver = [
            each for each in self.findings if each.name == finding.name and each.severity == "note" != finding.severity
        ]
        self.findings = [each for each in self.findings if each not in graver]
        known = {each.name for each in (*self.findings, *self.symptoms)}
        if finding.name in known or step < self.proof.refuted.get(finding.name, 0):
            return
        cause = explained_by(finding.name, self.findings)
        of_data = finding.statistic.get("origin") == "input"
        if cause is not None and (not of_data or cause.name == "bad-features"):
            cause.statistic.setdefault("symptoms", []).append(f"{finding.title}: {finding.evidence}")
            self.symptoms.append(finding)
            return
        proven = self._proven(finding)
        if proven is None:
            self.proof.refuted[finding.name] = 2 * step + 50
            return
        if proven.name in known:
            return
        self.findings.append(proven)
        for other in [each for each in self.findings if each is not proven]:
            near = (
                "twin" in proven.statistic or other.step <= 1 or proven.step - other.step <= 60
            )  # a cause comes first
            proof = "twin" in proven.statistic or proven.severity == "critical"
            near = near and (proof or other.name != "cannot-fit-one-batch" or other.severity != "critical")
            if near and explained_by(other.name, [proven]) is not None and other.cured is None:
                self.findings.remove(other)
                self.symptoms.append(other)
        self.findings.sort(key=lambda each: each.severity == "note")

    def has(self, name: str) -> bool:
        return any(each.name == name for each in self.findings)

    def _proven(self, finding: Finding) -> Finding | None:
        """The finding after its twins, or as it is where none can be run."""
        suspect = (
            self.suspect() if finding.name in FROM_THE_START | SLOW | {"oscillating-loss", "over-regularized"} else None
        )
        if suspect is None:
            return finding
        try:
            return confirm(finding, suspect, self.proof)
        except RuntimeError as error:
            finding.statistic["unproven"] = str(error)
            return finding


@dataclass
class Suspect:
    """What a suspicion is tried on: the patient, its recent batches, and how to put a copy back to its first
    weights."""

    patient: Patient
    batches: Sequence[Any]
    start: Change
    step: int
    planned: int
    gone: float = 1.0  # how much of the way to a loss of zero the training itself has gone

    @property
    def length(self) -> int:
        """Steps of a twin: a seventh of a short training's, at least 30, at most 50."""
        return min(50, max(30, self.planned // 7)) if self.planned else 50


def confirm(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """The finding with what its twins showed, renamed where they point elsewhere, or None where they refute it."""
    crawls = finding.name == "update-ratio-off" and finding.statistic.get("value", 1.0) < 1e-4
    if finding.name in FROM_THE_START and not crawls:
        twins = _from_the_start(suspect, proof)
        if twins is not None:
            told = _lower_is_better(finding, twins, suspect.gone)
            if told is None or told.name == "learning-rate-too-high" or finding.name == "update-ratio-off":
                return told if told is None or told.name == "learning-rate-too-high" else None
    if finding.name == "over-regularized":
        return _freer_is_better(finding, suspect, proof)
    if finding.name in SLOW | {"oscillating-loss"}:
        factors = (0.1,) if finding.name == "oscillating-loss" else (10.0, 100.0, 1000.0)
        twins = _from_now(suspect, proof, factors)
        if twins is not None:
            return _either_is_better(finding, twins)
        if finding.name in ("update-ratio-off", "oscillating-loss"):
            return None  # too weak to be told without a proof, and the budget for proofs is spent
    return finding


def _from_the_start(suspect: Suspect, proof: Proof) -> dict[str, Twin] | None:
    """As it is and at a tenth of the rate, from the first weights; at a hundredth where a tenth does not learn."""
    if "start" not in proof.kept:
        if not proof.may_spend(2 * suspect.length, suspect.step, suspect.planned):
            return None
        changes: dict[str, Change | None] = {OWN: suspect.start, TENTH: _slower(suspect, 0.1)}
        twins = proof.compare(suspect.patient, suspect.batches, changes, suspect.length)
        proof.kept["start"] = suspect.step, twins
        first = twins[OWN].losses[0]
        if not twins[TENTH].end < first and twins[OWN].end > 0.8 * first:
            try_hundredth(suspect, proof)
    return proof.kept["start"][1]


def try_hundredth(suspect: Suspect, proof: Proof) -> float | None:
    """A hundredth of the rate from the first weights as well: the better factor of the two, None if none was tried."""
    if "start" not in proof.kept:
        return None
    twins = proof.kept["start"][1]
    if HUNDREDTH not in twins and proof.may_spend(suspect.length, suspect.step, suspect.planned):
        changes: dict[str, Change | None] = {HUNDREDTH: _slower(suspect, 0.01)}
        twins |= proof.compare(suspect.patient, suspect.batches, changes, suspect.length)
    return 0.01 if HUNDREDTH in twins and twins[HUNDREDTH].end < twins[TENTH].end else 0.1


def _slower(suspect: Suspect, factor: float) -> Change:
    def change(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        scaled_rate(factor)(model, optimizers)

    return change


def _from_now(suspect: Suspect, proof: Proof, factors: Sequence[float]) -> dict[str, Twin] | None:
    """As it is and with the rate times each factor, from the present weights; a factor that does well ends the search.

    What was tried is kept until twice as many steps are done.
    """
    step, twins = proof.kept.get("now", (0, {}))
    if not twins or suspect.step > 2 * step + 20:
        step, twins = suspect.step, {}
    changes: dict[str, Change | None] = {OWN: None}
    changes |= {f"{factor:g} times the rate": scaled_rate(factor) for factor in factors}
    for name, change in changes.items():
        if name not in twins:
            if not proof.may_spend(suspect.length, suspect.step, suspect.planned):
                return None
            twins |= proof.compare(suspect.patient, suspect.batches, {name: change}, suspect.length)
        if twins[name].end < 0.7 * twins[OWN].losses[0]:
            break
    proof.kept["now"] = step, twins
    return twins


def _lower_is_better(finding: Finding, twins: dict[str, Twin], gone: float) -> Finding | None:
    own, words = twins[OWN], min((name for name in twins if name != OWN), key=lambda name: twins[name].end)
    low = twins[words]
    first = own.losses[0]
    own_fails = own.end > 0.5 * first or not math.isfinite(own.end) or gone < 0.1
    # The slow twin has had only a tenth of the way, so it is enough that it ends lower and has fallen.
    if low.end < 0.8 * own.end and low.end < first and (own_fails or finding.statistic.get("diverging")):
        _keep_curves(finding, twins)
        text = f" On a copy, {len(low.losses)} steps at {words} end at {low.end:.3g}, as it is at {own.end:.3g}."
        return _renamed(
            finding, "learning-rate-too-high", text, "Steps that are too long for the slope jump over the valley."
        )
    if finding.name == "learning-rate-too-high":
        if not finding.statistic.get("diverging"):
            return None
        _keep_curves(finding, twins)
        thrown = finding.statistic.get("at once") and own.end < low.end
        if own.end < 0.5 * first or thrown:  # the same rate does well from the start: something threw the weights off
            text = f" From the first weights {len(own.losses)} steps at this rate end at {own.end:.3g}."
            told = _renamed(
                finding, "loss-spike", text, "One batch, or one step that was too long, threw the weights off."
            )
            told.confidence = 0.7
            return told
        finding.confidence = min(finding.confidence, 0.5)
    return finding


def _either_is_better(finding: Finding, twins: dict[str, Twin]) -> Finding | None:
    own, others = twins[OWN], {name: twin for name, twin in twins.items() if name != OWN}
    first = own.losses[0]
    if finding.name == "oscillating-loss":
        slower = others.get("0.1 times the rate")
        if slower is None or not slower.end < 0.8 * own.end:
            return None
        _keep_curves(finding, {OWN: own, "0.1 times the rate": slower})
        finding.confidence = 0.9
        return finding
    if not others:
        return None  # the copy that goes on as it is learns well
    name = min(others, key=lambda each: others[each].end)
    best, gained = others[name], first - own.end
    if math.isfinite(best.end) and first - best.end > max(0.05 * abs(first), 3 * gained):
        _keep_curves(finding, twins)
        text = f" On a copy, {len(best.losses)} steps at {name} end at {best.end:.3g}, as it is at {own.end:.3g}."
        if name.startswith("0.1"):
            cause = "Steps that are too long for the slope jump over the valley."
            return _renamed(finding, "learning-rate-too-high", text, cause)
        return _renamed(finding, "learning-rate-too-low", text, "Steps that are too short get nowhere in time.")
    if finding.name in ("learning-rate-too-low", "update-ratio-off") and not finding.statistic.get("value", 1.0) < 1e-5:
        return None
    return finding


def _freer_is_better(finding: Finding, suspect: Suspect, proof: Proof) -> Finding | None:
    """From the first weights: as it is, and without decay and dropout."""
    if not proof.may_spend(2 * suspect.length, suspect.step, suspect.planned):
        return finding

    def freed(model: Any, optimizers: Any) -> None:
        suspect.start(model, optimizers)
        without_dropout(model, optimizers)
        without_decay(model, optimizers)

    changes: dict[str, Change | None] = {OWN: suspect.start, "without decay and dropout": freed}
    twins = proof.compare(suspect.patient, suspect.batches, changes, suspect.length)
    own, free = twins.values()
    if not free.end < 0.5 * own.end:
        return None
    _keep_curves(finding, twins)
    finding.evidence += (
        f" On a copy, {len(free.losses)} steps without it end at {free.end:.3g}, as it is at {own.end:.3g}."
    )
    finding.confidence = 0.9
    return finding


def _renamed(finding: Finding, name: str, evidence: str, cause: str) -> Finding:
    """The finding under the name that its twins proved."""
    finding.evidence += evidence
    if finding.name != name:
        finding.name, finding.remedy = name, AILMENTS[name].remedy
    finding.cause, finding.confidence = cause, 0.95
    if finding.severity == "note":
        finding.severity = "warn"
    return finding


def _keep_curves(finding: Finding, twins: dict[str, Twin]) -> None:
    curves = {name: [value if math.isfinite(value) else None for value in twin.losses] for name, twin in twins.items()}
    finding.statistic.setdefault("twin", {}).update(curves)
