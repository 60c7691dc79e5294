"""A treatment to whether it left the training worse, and the moment before it to what is put back where it did."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from trainwell.doctor.diagnosis import explained_by
from trainwell.doctor.families import collapsed_no_more
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.lighter_bound import Spare
from trainwell.doctor.patient import Patient, answering
from trainwell.doctor.players import distances, reached
from trainwell.doctor.probe import is_dropout
from trainwell.doctor.remedy import Chart
from trainwell.doctor.series import Record, finite, spread
from trainwell.doctor.snapshot import SETTINGS, Snapshot
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import run_trial
from trainwell.doctor.usual_steps import give_back, stand_in
from trainwell.doctor.wiring_check import CHECKS as WIRING

if TYPE_CHECKING:
    from trainwell.doctor.treatment import Treatment
    from trainwell.doctor.ward import Ward

LASTING = ("clip", "level", "zero_after", "turn_sign", "train_mode", "eval_mode")  # of a chart, from step to step
OF_SAMPLES = ("mode-collapse", "one-player-wins")  # what is judged by samples, as no loss tells of it
FARTHER = 1.5  # times that distance, at two evaluations, which a treatment has made worse
THROWN = {"loss-spike", "learning-rate-too-high", "exploding-gradient", "non-finite-values", "training-state-lost"}
NEARER = 0.8  # of their distance from real rows, which they fall below where a treatment has helped
YOUNG = 300  # steps that a generator begun anew may take to come nearer to real rows
LONGEST, CODES = 180, 600  # steps that a treatment may take to show; codes come late to where they say something
RECENT = 10  # steps that must agree that a treatment does harm
COMING_BACK = 0.7  # of the first of those steps' losses, below which the last of them are on their way back
BEFORE = 10  # steps before a leap that it is seen against


@dataclass
class Before:
    """A training as it was before a treatment: weights, optimizers, their settings and what lasted from step to
    step."""

    snapshot: Snapshot
    settings: list[list[dict[str, Any]]]
    lasting: dict[str, Any]
    held: dict[int, float]
    rates: dict[int, tuple[float, float]]
    build: tuple[Any, ...]
    sign: float
    standing: bool  # whether Adam takes the steps already
    spare: Spare | None = None
    mended: frozenset[str] = frozenset()  # of two players
    first: Snapshot | None = None  # the weights that counted as the first ones
    treated: dict[int, float] = field(default_factory=dict)  # group -> its rate right after the treatment

    @classmethod
    def of(cls, patient: Patient, chart: Chart, rates: dict[int, tuple[float, float]], step: int) -> "Before":
        settings = [
            [{key: group[key] for key in SETTINGS if key in group} for group in each.param_groups]
            for each in patient.optimizers.values()
        ]
        lasting = {name: getattr(chart, name) for name in LASTING}
        return cls(
            Snapshot.of(patient, step),
            settings,
            lasting,
            dict(chart.held),
            dict(rates),
            build_of(patient, chart),
            patient.sign,
            any(stand_in(each) is not None for each in patient.optimizers.values()),
            patient.spare,
            patient.play.mended if patient.play is not None else frozenset(),
        )

    def fits(self, patient: Patient, chart: Chart) -> bool:
        """Whether the network is still built as it was; what was changed in its parts cannot be put back."""
        return self.build == build_of(patient, chart)

    def put_back(self, patient: Patient, chart: Chart) -> None:
        """Everything as it was."""
        self.snapshot.into(patient.bare, patient.optimizers)
        for optimizer, groups in zip(patient.optimizers.values(), self.settings, strict=True):
            for group, kept in zip(optimizer.param_groups, groups, strict=True):
                # What a schedule has made of the rate since then is kept.
                since, rate = self.treated.get(id(group)) or 0.0, group["lr"]
                group.update(kept)
                group["lr"] = kept["lr"] * rate / since if since else kept["lr"]
        for name, value in self.lasting.items():
            setattr(chart, name, value)
        chart.held, patient.sign, patient.spare = dict(self.held), self.sign, self.spare
        if patient.play is not None:
            patient.play.mended = self.mended
        for optimizer in patient.optimizers.values() if not self.standing else ():
            give_back(optimizer)


def build_of(patient: Patient, chart: Chart) -> tuple[Any, ...]:
    """By what a network that was operated on is known: its modules, others' hooks on them, their settings."""
    modules = tuple(
        (id(each), _hooks(each), getattr(each, "p", None), getattr(each, "momentum", None))
        for each in patient.bare.modules()
    )
    groups = tuple(len(group["params"]) for each in patient.optimizers.values() for group in each.param_groups)
    return modules, groups, getattr(chart.task, "scores", None)


def _hooks(module: nn.Module) -> int:
    tables = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    hooks = [hook for table in tables for hook in table.values()]
    return sum(not getattr(hook, "of_doctor", False) and not getattr(hook, "comes_off", False) for hook in hooks)


def recipe_of(patient: Patient, chart: Chart | None) -> dict[str, Any]:
    """What a recipe would say of the training as it is now, by dotted key."""
    groups = [group for each in patient.optimizers.values() for group in each.param_groups]
    shares: list[Any] = [each.p for each in patient.bare.modules() if is_dropout(each)]
    return {
        "optimizer.lr": max(float(group.get("initial_lr", group["lr"])) for group in groups),
        "optimizer.weight_decay": max(float(group.get("weight_decay") or 0.0) for group in groups),
        "optimizer.momentum": max((float(group.get("momentum") or 0.0) for group in groups), default=0.0),
        "optimizer.betas": max((list(group["betas"]) for group in groups if group.get("betas")), default=None),
        "optimizer.maximize": any(group.get("maximize") for group in groups),
        "model.dropout": max(shares, default=0.0),
        "train.clip": float(f"{chart.clip:.4g}") if chart is not None and chart.clip is not None else None,
        "task.scores": getattr(chart.task, "scores", None) if chart is not None else None,
    }


def changed(was: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """What is no longer as it was, as [before, after] by key."""
    return {key: [was[key], value] for key, value in now.items() if value != was[key]}


def does_harm(losses: np.ndarray, before: float, start: float) -> bool:
    """Whether the losses since a treatment lie beyond both what they were before it and where the training began."""
    if len(losses) < RECENT or not 0 <= before < np.inf:
        return False  # what may be below zero has no such bounds
    recent = losses[-RECENT:]
    coming_back = float(recent[-3:].mean()) < COMING_BACK * float(recent[:3].mean())
    return float(np.mean(recent > THRESHOLDS.diverged * max(before, start))) >= 0.8 and not coming_back


def harmed(doctor: "Ward", current: "Treatment", goes_on: bool) -> bool:
    """Whether a training does worse since a treatment: by its loss, or by what two players make, each of whose losses
    may rise as they should; goes_on: from the weights as they were, so that samples are comparable at once."""
    patient, finding = doctor.patient, current.finding
    if patient is not None and len(patient.players) > 1:
        shown, before = doctor.record.get("sample distance"), finding.statistic.get("distance", math.nan)
        latest = shown.last(2) if len(shown) > 1 else distances(doctor.record).last(4)
        return goes_on and len(latest) > 1 and bool(latest.min() > FARTHER * before)
    if doctor.replay.on:
        return False  # the loss is that of a batch that is not learned from
    episodes = [*doctor.episodes, doctor.record]
    began = next((losses for each in episodes if len(losses := finite(each.get("loss").array))), np.zeros(1))
    return does_harm(finite(doctor.record.get("loss").array), current.loss, float(began[0]))


def guessing(record: Record) -> float:
    """The loss of the best constant answer; infinite where it is not known."""
    return float(record.facts.get("prior loss") or math.inf)


def usual_loss(record: Record, turned: bool) -> float:
    """The median of the latest losses; turned: what was called a loss is a score."""
    losses = finite(record.get("loss").array)[-20:]
    middle = float(np.median(losses)) if len(losses) else math.inf
    return -middle if turned and len(losses) else middle


def improved(record: Record, finding: Finding, before: float, now: float) -> bool:
    """Whether the loss is clearly below what it was before a treatment, or below guessing where it had only begun."""
    if _of_samples(record, finding):
        return len(distances(record)) > 3 and reached(record) < NEARER * finding.statistic.get("distance", math.nan)
    if before < 0:  # which of binary cross-entropy shares beyond 0 and 1 alone can do
        return now >= 0 if finding.name == "targets-out-of-range" else now < before
    if finding.name == "non-finite-values" and not math.isfinite(now):
        return True  # every gradient since is finite, and the loss is no number to judge by
    if finding.name == "posterior-collapse":
        return collapsed_no_more(record) and now < before
    if finding.name == "class-imbalance":  # whose loss is another one from then on
        recalls = record.get("recall").values
        return bool(recalls) and recalls[-1] >= THRESHOLDS.minority_recall
    guess = guessing(record)
    reference = min(before, guess) if math.isfinite(min(before, guess)) else record.get("loss").values[0]
    fine = finding.name in ("overfitting", "wrong-train-eval-mode", "disconnected-parameters", "loss-spike")
    return now < (1.1 if fine else 0.95) * reference or now < 0.3 * guess


def shows(finding: Finding, fired: set[str]) -> bool:
    """Whether anything is seen still that a finding explains, which should have gone with it."""
    return any(explained_by(name, [finding]) is not None for name in fired)


def still_there(doctor: "Ward", finding: Finding) -> bool:
    """Whether a check of the wiring that found it finds it again on the weights as they are now."""
    check, patient, sample = WIRING.get(finding.name), doctor.patient, doctor.sample
    free = finding.name == "learning-slowdown" and "free to saturate" in doctor.record.facts
    if check is None or finding.name == "gradient-ascent" or free or finding.step > 1:
        return False
    if patient is None or sample is None or not sample.batches:
        return False
    try:
        return check(run_trial(patient, sample, dict(doctor.record.facts))) is not None
    except (CannotJudge, RuntimeError, ValueError):
        return False


def tried_long(doctor: "Ward", current: "Treatment") -> bool:
    """Whether a treatment has had as long as it may take to show."""
    finding, since = current.finding, current.step
    if _of_samples(doctor.record, finding):
        series = distances(doctor.record).array
        middles = [float(np.median(series[place : place + 3])) for place in range(len(series) - 2)]
        heard = bool(len(doctor.record.get("heard distance")))
        long = doctor.step >= since + YOUNG if heard else len(series) >= THRESHOLDS.young_generator
        return long and middles[-1] > NEARER * max(middles)
    return doctor.step >= since + (CODES if finding.name == "posterior-collapse" else LONGEST)


def samples_worse(record: Record, finding: Finding) -> bool:
    """Whether a treatment of two players has left samples clearly farther from real rows than they were."""
    before = finding.statistic.get("distance", math.nan)
    return _of_samples(record, finding) and len(distances(record)) > 2 and reached(record) > before / NEARER


def _of_samples(record: Record, finding: Finding) -> bool:
    """Whether what is made tells whether a cure helped: of two players no loss does."""
    return finding.name in OF_SAMPLES or record.facts.get("players", 1) > 1


def ended_worse(doctor: "Ward", last: "Treatment", harmed: bool) -> bool:
    """Whether a training has ended worse than it was before its last treatment."""
    if doctor.patient is not None and len(doctor.patient.players) > 1:
        return harmed or samples_worse(doctor.record, last.finding)
    return left_worse(doctor, last.before.snapshot)


def left_worse(doctor: "Ward", before: Snapshot, by: float = 0.0) -> bool:
    """Whether the weights as they are do worse than those of a moment before, by more than this share of their loss,
    on held-out batches where there are any."""
    suspect, sample = doctor.suspect(), doctor.held
    if suspect is None:
        return False
    patient, batches = suspect.patient, suspect.batches if suspect.heard else doctor.batches
    if sample is not None and sample.batches and not suspect.heard:
        batches = sample.batches
    now, then = (mean_loss(each, batches) for each in (patient, before.patient(patient)))
    return then < now - by * abs(now) or bool(np.isfinite(then) and not np.isfinite(now))


def back_to_best(doctor: "Ward", best: Snapshot | None, finding: Finding) -> None:
    """The best weights of all evaluations put back at the end, where what cures made of them does worse by a tenth."""
    if best is None or not left_worse(doctor, best, by=0.1):
        return
    words = f"back to the weights of step {best.step}, the best of all evaluations"
    _put_back(doctor, best, finding, words, "What came after them answers held-out rows worse.")


def back_to_health(doctor: "Ward", healthy: Sequence[Snapshot]) -> None:
    """The weights of the last healthy moment put back at the end, where a step threw them off too late for a cure."""
    thrown = [each for each in doctor.findings if each.name in THROWN and each.severity == "critical"]
    finding = next((each for each in thrown if each.cured is None), None)
    if finding is None:
        return
    moment = next((each for each in reversed(healthy) if left_worse(doctor, each, by=0.1)), None)
    if moment is not None:
        finding.cured, finding.remedy = True, f"back to the weights of step {moment.step}, the last healthy moment"
        _put_back(doctor, moment, finding, finding.remedy, "The training ended before anything else could be tried.")


def _put_back(doctor: "Ward", moment: Snapshot, finding: Finding, change: str, reason: str) -> None:
    """The weights of a moment, with an entry in the history."""
    assert doctor.patient is not None
    moment.into(doctor.patient.bare, doctor.patient.optimizers)
    doctor.history.append({"step": doctor.step, "change": change, "reason": reason, "finding": finding.name})
    doctor.tell(f"doctor, step {doctor.step}: {change}.")


def mean_loss(patient: Patient, batches: Sequence[Any]) -> float:
    """The mean of a patient's losses on these batches, as it answers in evaluation."""
    with answering(patient.bare):
        return float(np.mean([float(patient.loss(patient.bare, each)) for each in batches]))


def note_descent(record: Record) -> None:
    """That the first updates went down the slope: a sign that was right does not turn later."""
    along = record.get("along gradient").array[: THRESHOLDS.persist]
    if len(along) == THRESHOLDS.persist and (along <= 0).all():
        record.facts["descends"] = True


def leapt(record: Record) -> int | None:
    """The first step whose loss is far beyond the steps before it, or None; what came later is no healthy moment."""
    steps = [step for step, value in zip(record.get("loss").steps, record.get("loss").values, strict=True)]
    losses = record.get("loss").array
    for place in range(BEFORE, len(losses)):
        known = finite(losses[max(0, place - 50) : place])
        if len(known) < BEFORE:
            continue
        middle, deviation = spread(known)
        limit = max(THRESHOLDS.spike * middle, middle + THRESHOLDS.spike_deviations * deviation)
        if not losses[place] <= limit:
            return steps[place]
    return None


class Trying:
    """A change about to be made to a network in a loop of one's own, which an error in it would end.

    `failed` tells, once it is made, whether the network no longer takes the latest batch that it took before, and takes
    hooks that the change has hung on it off again.
    """

    def __init__(self, doctor: "Ward") -> None:
        self.doctor, self.took = doctor, _answers(doctor)
        self.hooks = self._hooks() if self.took else {}

    def failed(self) -> bool:
        if not self.took or _answers(self.doctor):
            return False
        for key, (table, _) in self._hooks().items():
            if key not in self.hooks:
                table.pop(key[1], None)
        return True

    def _hooks(self) -> dict[tuple[int, int], tuple[Any, Any]]:
        assert self.doctor.patient is not None
        tables = [
            each for one in self.doctor.patient.bare.modules() for each in (one._forward_hooks, one._forward_pre_hooks)
        ]
        return {(id(table), key): (table, hook) for table in tables for key, hook in table.items()}


def _answers(doctor: "Ward") -> bool:
    """Whether the network takes its latest batch, where it can be asked in a loop of one's own."""
    patient = doctor.patient
    if patient is None or doctor.state is not None or patient.loss_of is None or not doctor.batches:
        return False
    try:
        with answering(patient.bare):
            patient.loss(patient.bare, doctor.batches[-1])
    except Exception:  # whatever it is, the loop would meet it as well
        return False
    return True
