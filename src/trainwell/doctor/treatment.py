"""Findings to treatments: one at a time, from the right moment, watched until it is known whether they cured."""

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.doctor.afresh import LATEST, Afresh
from trainwell.doctor.aftercare import (
    Before,
    Trying,
    back_to_best,
    back_to_health,
    build_of,
    changed,
    ended_worse,
    guessing,
    harmed,
    improved,
    leapt,
    left_worse,
    note_descent,
    recipe_of,
    samples_worse,
    shows,
    still_there,
    tried_long,
    usual_loss,
)
from trainwell.doctor.averaged import Averaged
from trainwell.doctor.course import learned
from trainwell.doctor.cures import CURES, Cure
from trainwell.doctor.finding import UNFIT, Finding
from trainwell.doctor.finish import Finish, peaks
from trainwell.doctor.follow_up import AFTER, quicken
from trainwell.doctor.proof import SLOW, does_best, outdone
from trainwell.doctor.rates import best_factor, hold_factors, hold_highest, note_factors, rates_of
from trainwell.doctor.remedy import Chart
from trainwell.doctor.series import finite
from trainwell.doctor.snapshot import Snapshot

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

OF_DATA = {"input-not-normalized", "bad-features", "wrong-initial-loss", "targets-out-of-range"}
WATCHED = 60  # steps after which a treatment is judged
YOUNG = 1.1  # times the loss before a treatment, which steps that are still too long go beyond


@dataclass
class Treatment:
    """One remedy under way."""

    finding: Finding
    step: int
    loss: float  # the median before it
    tried: int  # remedies tried so far, this one included
    before: Before
    settled: bool = False  # whether its rate was chosen, by the remedy or since


class Treatments:
    """Applies remedies to a doctor's patient, keeps healthy moments to go back to, and judges what was done."""

    def __init__(self, doctor: "Ward") -> None:
        self.doctor = doctor
        self.chart: Chart | None = None
        self.current: Treatment | None = None
        self.last: Treatment | None = None
        self.healthy: list[Snapshot] = []
        self.best: Snapshot | None = None
        self.built: tuple[Any, ...] = ()  # what the network was made of then
        self.done: dict[str, int] = {}  # finding -> remedies tried
        self.flipped = False  # into evaluation mode, to be turned back
        self.afresh: Afresh | None = None  # how the training could begin again, where it may
        self.averaged = Averaged()  # of a generator since a cure
        self.rates: dict[int, tuple[float, float]] = {}  # group -> (factor in force, rate last seen)
        self.finish = Finish()

    # Every step.

    @torch.no_grad()
    def before_step(self, parameters: list[nn.Parameter], total: Tensor) -> None:
        """What the remedies asked for at each step: a turned sign, a clipped norm."""
        self.hold()
        chart = self.chart
        if chart is not None and not chart.held and not self.doctor.retake.under_way:
            self.finish.lower(self._patient, self.doctor.record, self.doctor.step, chart.level)
        if chart is None or (chart.clip is None and not chart.turn_sign):
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        if chart.turn_sign:
            torch._foreach_neg_(gradients)
        if chart.clip is not None:
            torch._foreach_mul_(gradients, (chart.clip / (total + 1e-6)).clamp(max=1.0))

    def hold(self) -> None:
        """The rates as remedies have changed them, where a schedule has written its own since the last step."""
        if self.chart is not None and self.chart.held:
            hold_highest(self._patient, self.chart.held, self.doctor.step, int(self.chart.facts.get("steps") or 0))
        elif self.rates:
            hold_factors(self._patient, self.rates)

    def after_update(self, player: str) -> None:
        self.finish.stepped(self._patient)
        if self.chart is not None and self.chart.zero_after:
            play = self._patient.play  # a player's turn leaves gradients in the one that has stepped before it, too
            for each in {player, *(play.order if play is not None else ())}:
                self._patient.optimizers[each].zero_grad()

    def forward(self, module: nn.Module) -> None:
        """In front of a training pass."""
        if self.chart is None:
            return
        if not torch.is_grad_enabled():
            if self.chart.eval_mode and module.training:
                module.eval()
                self.flipped = True
        elif not module.training and (self.chart.train_mode or self.flipped):
            module.train()
            self.flipped = False

    def begin_anew(self) -> None:
        """The treatment under way judged from now on, against guessing, as its loss has become another."""
        if self.current is not None:
            self.current.step, self.current.loss = self.doctor.step, math.inf

    def evaluated(self, better: bool) -> None:
        """Keep the best weights by the held-out loss; those of a network that was operated on are of use no more."""
        built = build_of(self._patient, self._chart())
        if (better or built != self.built) and self.doctor.mode == "treat":
            self.best, self.built = Snapshot.of(self._patient, self.doctor.step), built

    def _keep_better(self, now: Snapshot) -> None:
        """The weights of now as the best ones, where they answer held-out rows better than those kept."""
        if self.doctor.held is not None and (self.best is None or not left_worse(self.doctor, self.best)):
            self.best, self.built = now, build_of(self._patient, self._chart())

    # Every look.

    def round(self, fired: list[Finding]) -> None:
        """Judge the treatment under way; where none is, begin one or keep a healthy moment."""
        step = self.doctor.step
        if self.current is not None and self._harmed(self.current):
            self._undo(self.current)
            self.doctor.new_episode()
        if self.current is not None:
            if not self.current.settled and step >= self.current.step + AFTER:
                self._follow_up(self.current)
            again = {each.name for each in fired}
            again -= {"data-not-shuffled"}  # the loop's rows go on coming as they did, and are not what is learned from
            again |= {"non-finite-values"} if len(self.doctor.record.get("not finite")) else set()
            self._judge(again)
            if self.current is not None:
                return
        waiting = [each for each in self.doctor.findings if self._treatable(each)]
        if waiting:
            self._begin(waiting[0])
        elif self.doctor.mode == "treat" and not fired and step >= self._kept_at() + 5 * self.doctor.every:
            self.healthy = [*self.healthy[-1:], Snapshot.of(self._patient, step)]

    def _kept_at(self) -> int:
        """The step of the latest healthy moment."""
        return self.healthy[-1].step if self.healthy else 0

    def _harmed(self, current: Treatment) -> bool:
        goes_on = CURES[current.finding.name][current.tried - 1].start == "now"
        return harmed(self.doctor, current, goes_on) and current.before.fits(self._patient, self._chart())

    def _undo(self, treatment: Treatment) -> None:
        """Put back all that a treatment changed, as the training does worse with it than without."""
        doctor, was = self.doctor, recipe_of(self._patient, self.chart)
        treatment.before.put_back(self._patient, self._chart())
        doctor.first = treatment.before.first
        self.rates, self.current, self.last = dict(treatment.before.rates), None, None
        self.averaged.stop()
        self.finish.stop()
        words = f"undone, as it did worse: {treatment.finding.remedy}"
        self._enter(words, "The loss was lower before the treatment.", treatment.finding, was)
        if treatment.tried == len(CURES[treatment.finding.name]):
            treatment.finding.cured = False

    def settle(self) -> None:
        """At the end of a loop of one's own: the weights before the last treatment, unless it helped or its weights do
        as well, or the average of the latest ones; this package's own loop has written its weights by then."""
        last = self.last
        if self.current is None and self.doctor.state is None:
            back_to_health(self.doctor, self.healthy)
        if last is None or self.doctor.state is not None:
            return
        fits = last.before.fits(self._patient, self._chart())
        if not last.finding.cured and fits and ended_worse(self.doctor, last, self._harmed(last)):
            self._undo(last)
        self.averaged.settle(self.doctor)
        if self.built == build_of(self._patient, self._chart()) and self.doctor.held is not None:
            back_to_best(self.doctor, self.best, last.finding)
        self.finish.end(self.doctor)

    def _treatable(self, finding: Finding) -> bool:
        if finding.name in OF_DATA and not self.doctor.examined and not finding.statistic.get("heard"):
            return False  # more rows are to come, which a mean and a deviation are taken from
        return (
            finding.severity != "note"
            and finding.cured is None
            and finding.confidence >= (0.5 if finding.severity == "critical" else 0.6)
            and self.done.get(finding.name, 0) < len(CURES.get(finding.name, ()))
        )

    def _judge(self, fired: set[str]) -> None:
        assert self.current is not None
        current, losses = self.current, finite(self.doctor.record.get("loss").array)
        now, guess = float(np.median(losses[-20:])) if len(losses) else math.inf, guessing(self.doctor.record)
        # Long steps are no more than suspected where the loss goes down as it should, and while a rate that copies have
        # chosen is young.
        young = self.doctor.step < current.step + WATCHED and now < YOUNG * min(current.loss, guess)
        doubted = current.finding.name == "learning-rate-too-high" and (young or now < 0.5 * min(current.loss, guess))
        again = current.finding.name in fired and not doubted
        if not again and self.doctor.step < current.step + WATCHED:
            return
        if not again and not improved(self.doctor.record, current.finding, current.loss, now):
            again = (now <= current.loss and shows(current.finding, fired)) or tried_long(self.doctor, current)
            if not again:
                return
        if again and samples_worse(self.doctor.record, current.finding):
            return self._undo(current)
        self.current = None
        if not again and not still_there(self.doctor, current.finding):
            current.finding.cured = True
        elif len(CURES[current.finding.name]) == current.tried:
            current.finding.cured = False
        helped = "helped" if current.finding.cured else "did not help"
        self.doctor.tell(f"doctor, step {self.doctor.step}: that {helped} against {current.finding.title}.")

    def _begin(self, finding: Finding) -> None:
        """The next remedy for this finding that applies; in ask mode only its words."""
        chart = self._chart()
        cures = CURES[finding.name]
        while self.done.get(finding.name, 0) < len(cures):
            tried = self.done[finding.name] = self.done.get(finding.name, 0) + 1
            cure = cures[tried - 1]
            if self.doctor.mode == "ask":
                proposed = self._on_a_copy(cure, chart, finding)
                if proposed is None:
                    continue
                finding.remedy, self.done[finding.name] = proposed, len(cures)
                self.doctor.tell(f"doctor, step {self.doctor.step}: would change: {proposed}.")
                return
            before = Before.of(self._patient, chart, self.rates, self.doctor.step)
            if self.doctor.step:
                self._keep_better(before.snapshot)
            rates, was = rates_of(self._patient), recipe_of(self._patient, self.chart)
            lost = self._go_back(cure, finding) or self._idle(finding)
            trying, sign = Trying(self.doctor), self._patient.sign
            try:
                change = cure.remedy(chart, finding)
            except UNFIT:  # of a network or a loss that is not made for what the remedy asks
                before.put_back(self._patient, chart)
                continue
            self._note_rates(rates)
            if change is None:
                before.snapshot.into(self._patient.bare, self._patient.optimizers)
                continue
            if trying.failed():
                before.put_back(self._patient, chart)
                continue
            turned = self._patient.sign != sign
            chosen = rates_of(self._patient) != rates or self.doctor.replay.on
            made = Treatment(finding, self.doctor.step, usual_loss(self.doctor.record, turned), tried, before, chosen)
            self._applied(finding, cure, change, was, made)
            if lost and (finding.name != "loss-spike" or chart.level):  # a batch that it came of would be taken again
                self._retake(lost)
            return
        if self.current is None and finding.cured is None:
            if any(each["finding"] == finding.name for each in self.doctor.history):
                finding.cured = False  # so that what it explained may be treated by itself
                return
            finding.remedy = f"{finding.remedy} (to be made in the data or the code: nothing in place cures it)"

    def _on_a_copy(self, cure: Cure, chart: Chart, finding: Finding) -> str | None:
        """The exact change that a remedy would make, found out on a copy."""
        model, optimizers = self._patient.copy()
        other = replace(self._patient, model=model, optimizers=optimizers, play=copy.copy(self._patient.play))
        return cure.remedy(replace(chart, patient=other, task=copy.copy(chart.task), facts=dict(chart.facts)), finding)

    def _applied(self, finding: Finding, cure: Cure, change: str, was: dict[str, Any], made: Treatment) -> None:
        doctor = self.doctor
        origin = {
            "first": "from the first weights",
            "healthy": "from the last healthy weights",
            "best": "from the best weights",
        }
        words = change + (f", {origin[cure.start]}" if cure.start in origin and doctor.step else "")
        wanted = self.chart.wanted if self.chart is not None else None
        if wanted:
            doctor.state.stopped = "the doctor has it start afresh"  # type: ignore[union-attr]
        finding.remedy = words
        self._enter(words, finding.evidence, finding, was, wanted)
        made.before.treated, made.before.first = rates_of(self._patient), doctor.first
        if cure.start == "first" and doctor.first is not None:
            doctor.first = Snapshot.of(self._patient, doctor.step)  # to which later cures go back
        self.current = self.last = made
        self.averaged.begin(self.doctor, finding)
        if doctor.state is None:
            self.finish.begin()
        note_descent(doctor.record)
        doctor.new_episode()

    def _note_rates(self, before: dict[int, float]) -> None:
        """Remember by what factor a remedy has changed each group's rate, for loops with a schedule of their own."""
        held = self.chart.held if self.chart is not None else {}
        note_factors(self._patient, before, held, self.rates if self.doctor.state is None else None)

    def _follow_up(self, current: Treatment) -> None:
        """Other steps, once, for a network that a cure has mended and that those of then bring nowhere."""
        doctor, current.settled = self.doctor, True
        before, was = rates_of(self._patient), recipe_of(self._patient, self.chart)
        suspect = doctor.suspect() if doctor.state is None else None  # in a loop of one's own
        if suspect is not None and (words := quicken(suspect, doctor.diagnosis.proof)):
            self._note_rates(before)
            current.before.treated = rates_of(self._patient)
            current.finding.remedy += f"; then {words}"
            self._enter(words, "On copies the mended network learns twice as fast by them.", current.finding, was)
            self._retake(doctor.step - current.step)

    def _enter(self, change: str, reason: str, finding: Finding, was: dict[str, Any], wanted: Any = None) -> None:
        """A line of the history, told as well, with what of the recipe is not as it was; wanted: for a fresh start."""
        entry = {"step": self.doctor.step, "change": change, "reason": reason, "finding": finding.name}
        decided = changed(was, recipe_of(self._patient, self.chart)) | (wanted or {})
        more = ({"afresh": True} if wanted else {}) | ({"recipe": decided} if decided else {})
        self.doctor.history.append({**entry, **more})
        self.doctor.tell(f"doctor, step {self.doctor.step}: {change}.")

    def _retake(self, lost: int) -> None:
        """The steps that going back has cost, taken again on the same rows."""
        made = self.doctor.retake.take(self.doctor, lost)
        if made:
            self.doctor.history[-1]["change"] += f", {made} steps made up for"
            self.doctor.tell(f"doctor, step {self.doctor.step}: {made} steps taken again on the batches seen.")

    def _idle(self, finding: Finding) -> int:
        """How many steps a training has stood still for, where that is what ails it."""
        standing = finding.name in SLOW and learned(self.doctor.record) < 0.2
        return int(finding.statistic.get("idle") or (self.doctor.step - self.doctor.began_at if standing else 0))

    def _go_back(self, cure: Cure, finding: Finding) -> int:
        """Weights and optimizers as they were where this cure begins; how many steps were lost by it."""
        doctor = self.doctor
        snapshot = {"first": doctor.first, "best": self.best or doctor.first}.get(cure.start)
        if cure.start == "healthy":
            since = leapt(doctor.record) if finding.name in ("loss-spike", "training-state-lost") else None
            moments = [*reversed(self.healthy), self.best] if since is not None else self.healthy[:1]
            sound = [each for each in moments if each is not None and (since is None or each.step < since)]
            snapshot = sound[0] if sound else doctor.first
        if snapshot is None or not doctor.step:
            return 0
        snapshot.into(self._patient.bare, self._patient.optimizers)
        return doctor.step - snapshot.step

    @property
    def _patient(self) -> Any:
        assert self.doctor.patient is not None
        return self.doctor.patient

    def _chart(self) -> Chart:
        """The chart, brought up to date."""
        doctor = self.doctor
        if self.chart is None:
            task = doctor.state.task if doctor.state is not None else None
            self.chart = Chart(self._patient, None, doctor.record.facts, doctor.state is not None, task)
            self.chart.replay = doctor.replay
        norms = finite(doctor.record.get("gradient norm").array)
        self.chart.sample, self.chart.facts = doctor.sample, doctor.record.facts
        self.chart.usual_norm = float(np.median(norms[: max(5, len(norms) // 3)])) if len(norms) else 1.0
        self.chart.peaks = peaks(doctor.record)
        suspect, proof, self.chart.propose = doctor.suspect, doctor.diagnosis.proof, self._propose
        self.chart.best_factor = lambda factors, anew=False: (
            None if (now := suspect()) is None else best_factor(now, proof, factors, anew)
        )
        self.chart.outdone = lambda: (now := suspect()) is not None and outdone(now, proof)
        self.chart.seen = doctor.retake.batches
        self.chart.does_best = lambda change, margin=1.0: (
            (now := suspect()) is not None and does_best(change, now, proof, margin)
        )
        self.chart.feeds = doctor.probe.feeds
        self.chart.dead = {place: ~alive for place, alive in doctor.probe.alive().items()}
        return self.chart

    def _propose(self, finding: Finding) -> dict[str, list[Any]] | None:
        """What of the recipe is to change for a fresh start, while the training is young enough for one."""
        state, suspect = self.doctor.state, self.doctor.suspect()
        seconds = self.doctor.record.facts.get("seconds")
        if self.afresh is None or state is None or suspect is None:
            return None
        if max(state.progress, state.seconds / seconds if seconds else 0.0) > LATEST:
            return None
        return self.afresh.change(finding, suspect, self.doctor.diagnosis.proof)
