"""Findings to a diagnosis: which are causes and which their symptoms, each suspicion tried on a twin before it is told."""

import math
from collections.abc import Sequence
from typing import Any

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.twin import Change, Twin, run_twin, scaled_rate

STUCK = {"plateau", "cannot-fit-one-batch", "underfitting", "update-ratio-off", "learning-rate-too-low"}
ROUGH = {"oscillating-loss", "loss-spike", "exploding-gradient", "update-ratio-off", "learning-rate-too-high"}
DEAD = {"dying-relu", "saturated-activations", "vanishing-gradient", "disconnected-parameters"}
# A cause, and what else may be seen because of it. A cause stands above all that it explains.
EXPLAINS: dict[str, set[str]] = {
    "gradient-ascent": STUCK | ROUGH | DEAD | {"non-finite-values", "wrong-initial-loss"},
    "bad-features": STUCK | ROUGH | DEAD | {"input-not-normalized", "wrong-initial-loss"},
    "targets-out-of-range": STUCK | ROUGH | DEAD | {"wrong-initial-loss"},
    "loss-head-mismatch": STUCK | ROUGH | DEAD | {"wrong-initial-loss", "learning-slowdown", "overfitting"},
    "input-not-normalized": STUCK | ROUGH | DEAD | {"wrong-initial-loss", "non-finite-values", "preprocessing-mismatch", "bad-initialization"},
    "missing-zero-grad": STUCK | ROUGH | DEAD,
    "bad-initialization": STUCK | ROUGH | DEAD | {"wrong-initial-loss", "representation-collapse", "learning-slowdown"},
    "wrong-initial-loss": {"exploding-gradient", "update-ratio-off", "learning-rate-too-high", "oscillating-loss"},
    "disconnected-parameters": STUCK,
    "data-not-shuffled": STUCK | ROUGH,
    "learning-slowdown": STUCK | {"saturated-activations", "vanishing-gradient"},
    "learning-rate-too-high": ROUGH | DEAD | {"plateau", "non-finite-values", "update-ratio-off", "representation-collapse"},
    "vanishing-gradient": STUCK | {"saturated-activations"},
    "dying-relu": STUCK | {"vanishing-gradient", "disconnected-parameters", "representation-collapse"},
    "saturated-activations": STUCK | {"vanishing-gradient", "oscillating-loss"},
    "exploding-gradient": {"loss-spike", "oscillating-loss", "update-ratio-off"},
    "learning-rate-too-low": {"plateau", "update-ratio-off", "underfitting"},
    "label-noise": {"plateau", "overfitting", "underfitting"},
    "over-regularized": STUCK,
    "class-imbalance": {"plateau"},
    "non-finite-values": ROUGH | DEAD | STUCK,
    "preprocessing-mismatch": {"overfitting"},
    "wrong-train-eval-mode": {"overfitting", "preprocessing-mismatch"},
}  # fmt: skip
CERTAIN = {"non-finite-values"}  # stays in sight even where its cause is known


def explained_by(name: str, known: Sequence[Finding]) -> Finding | None:
    """The finding among those known that explains this one, and is not explained by it."""
    order = list(EXPLAINS)
    for finding in known:
        if finding.name == name or name not in EXPLAINS.get(finding.name, set()) or finding.severity == "note":
            continue
        mutual = finding.name in EXPLAINS.get(name, set())
        if not mutual or order.index(finding.name) < order.index(name):
            return finding
    return None


class Proof:
    """Twins within a budget of steps: each suspicion is tried at most twice, the second time later.

    share: of the steps done so far (or planned) that may be spent on twins.
    """

    def __init__(self, share: float) -> None:
        self.share, self.spent, self.seconds = share, 0, 0.0
        self.refuted: dict[str, int] = {}

    def may_spend(self, steps: int, done: int, planned: int) -> bool:
        return self.spent + steps <= max(300, self.share * max(done, planned))

    def compare(
        self, patient: Patient, batches: Sequence[Any], changes: dict[str, Change | None], steps: int = 50
    ) -> dict[str, Twin]:
        """One twin a change, all from the same weights, batches and random numbers."""
        twins = {}
        for name, change in changes.items():
            twins[name] = twin = run_twin(patient, batches, steps, change)
            self.spent += len(twin.losses)
            self.seconds += twin.seconds
        return twins


def confirm(finding: Finding, patient: Patient, batches: Sequence[Any], proof: Proof, start: Change) -> Finding | None:
    """The finding with what its twins showed, another that they point to, or None where they refute it.

    start: puts the copy back to where the trouble had not yet begun.
    """

    def after(factor: float) -> Change:
        def change(model: Any, optimizers: Any) -> None:
            start(model, optimizers)
            scaled_rate(factor)(model, optimizers)

        return change

    if finding.name in ("learning-rate-too-high", "exploding-gradient", "oscillating-loss"):
        twins = proof.compare(patient, batches, {"as it is": start, "a tenth of the rate": after(0.1)})
        return _lower_is_better(finding, twins)
    if finding.name in ("learning-rate-too-low", "plateau", "update-ratio-off"):
        changes: dict[str, Change | None] = {"as it is": None, "ten times the rate": scaled_rate(10.0)}
        if finding.name != "learning-rate-too-low":
            changes["a tenth of the rate"] = scaled_rate(0.1)
        return _either_is_better(finding, proof.compare(patient, batches, changes))
    return finding


def _lower_is_better(finding: Finding, twins: dict[str, Twin]) -> Finding | None:
    own, low = twins["as it is"], twins["a tenth of the rate"]
    _keep_curves(finding, twins)
    # The slow twin has had only a tenth of the way, so it is enough that it ends lower and has fallen.
    helped = low.end < 0.8 * own.end and low.end < low.start
    if helped:
        finding.evidence += f" On a copy, {len(low.losses)} steps at a tenth of the rate end at {low.end:.3g}, as it is at {own.end:.3g}."
        finding.confidence = 0.95
        if finding.name == "exploding-gradient":
            finding.name, finding.remedy = "learning-rate-too-high", ""
            finding.__post_init__()
            finding.cause = "Steps that are too long for the slope make the gradient grow."
        return finding
    if finding.name == "learning-rate-too-high" and not finding.statistic.get("diverging"):
        return None
    finding.confidence = min(finding.confidence, 0.5)
    finding.evidence += f" A tenth of the rate does not help a copy (ends at {low.end:.3g}, as it is at {own.end:.3g})."
    return finding if finding.name != "oscillating-loss" else None


def _either_is_better(finding: Finding, twins: dict[str, Twin]) -> Finding | None:
    own, high = twins["as it is"], twins["ten times the rate"]
    low = twins.get("a tenth of the rate")
    _keep_curves(finding, twins)
    falls = high.fall > 0.1 * abs(high.start) and high.fall > 3 * max(own.fall, 0.0)
    if falls and math.isfinite(high.end):
        finding.evidence += (
            f" On a copy, 50 steps at ten times the rate fall to {high.end:.3g}, as it is to {own.end:.3g}."
        )
        finding.name, finding.remedy, finding.confidence = "learning-rate-too-low", "", 0.95
        finding.cause = "Steps that are too short get nowhere in time."
        finding.__post_init__()
        return finding
    if low is not None and low.end < 0.8 * own.end and low.fall > 0.1 * abs(low.start):
        finding.evidence += (
            f" On a copy, 50 steps at a tenth of the rate fall to {low.end:.3g}, as it is to {own.end:.3g}."
        )
        finding.name, finding.remedy, finding.confidence = "learning-rate-too-high", "", 0.9
        finding.cause = "Steps that are too long for the slope jump over the valley."
        finding.__post_init__()
        return finding
    return None if finding.name in ("learning-rate-too-low", "update-ratio-off") else finding


def _keep_curves(finding: Finding, twins: dict[str, Twin]) -> None:
    finding.statistic["twin"] = {
        name: [value if math.isfinite(value) else None for value in twin.losses] for name, twin in twins.items()
    }
