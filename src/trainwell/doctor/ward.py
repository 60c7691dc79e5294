"""The moments of a training's steps to what is measured, judged and changed at each; knows no loop."""

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from trainwell.doctor import gauges, gone_apart
from trainwell.doctor.aftercare import guessing
from trainwell.doctor.course import ahead, clipped_at, latest, learned
from trainwell.doctor.data_check import CHECKS as OF_ROWS
from trainwell.doctor.diagnosis import Diagnosis
from trainwell.doctor.examine import examine
from trainwell.doctor.finding import Finding
from trainwell.doctor.first_step import check_first_step
from trainwell.doctor.losses import Graphs, scalar
from trainwell.doctor.origin import not_finite, too_long
from trainwell.doctor.outside import Outside
from trainwell.doctor.patient import Patient, bare
from trainwell.doctor.probe import WINDOW, Probe, has_batch_norm, has_dropout, is_compiled, marked
from trainwell.doctor.proof import Proof
from trainwell.doctor.pulse import Pulse, together
from trainwell.doctor.replay import Replay
from trainwell.doctor.retake import Retake
from trainwell.doctor.rounds import RULES, judge
from trainwell.doctor.sample import Sample, collect, read
from trainwell.doctor.series import Record
from trainwell.doctor.snapshot import Snapshot
from trainwell.doctor.split_check import CHECKS as OF_SPLIT
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.treatment import Treatments
from trainwell.doctor.wiring_check import CHECKS as OF_WIRING
from trainwell.train.state import State

Mode = Literal["watch", "ask", "treat"]
WIRED = {*OF_WIRING, "cannot-fit-one-batch"} - {*OF_ROWS}  # what few rows show is asked of many again
OF_MANY_ROWS = {*OF_SPLIT, "class-imbalance", "label-noise", "data-not-shuffled", "dying-relu", "cannot-fit-one-batch"}
EARLY = 32  # rows after which the wiring is looked at, and what else so few rows can show
KEPT = 8  # batches that twins may train on
KEPT_ROWS = 64  # or so many rows, where batches are small


class Ward:
    """Where a patient is watched step by step; a doctor is a ward with ways in and out.

    budget: share of the training's steps for proofs on copies.
    """

    def __init__(self, mode: Mode, every: int, budget: float, held_out: Iterable[Any] | None, scaler: Any) -> None:
        self.mode, self.every, self.held_out, self.scaler = mode, max(2, every), held_out, scaler
        self.record = Record()
        self.episodes: list[Record] = []  # what was measured before each treatment
        self.diagnosis = Diagnosis(Proof(budget), self.suspect)
        self.treatments = Treatments(self)
        self.replay = Replay()  # draws the rows of steps once a remedy asks for it
        self.retake = Retake()  # takes steps again that a cure from earlier weights has cost
        self.ran: set[str] = set()
        self.skipped: dict[str, str] = {}
        self.history: list[dict[str, Any]] = []
        self.earlier: list[dict[str, Any]] = []  # findings of the sittings before this one
        self.tell: Callable[[str], Any] = lambda text: None  # takes each sentence as it comes
        self.told: set[str] = set()
        self.broken = ""  # the error that ended the watching
        self.seconds, self.inside = 0.0, False  # of processor time that the doctor took
        self.weighs = 1.0  # how many steps' time this one's stands for; 0 where it is not taken
        self.plain = False  # whether all weights are numbers of full precision in the processor's own memory
        self.step, self.began_at, self.next_look, self.next_round = 0, 0, self.every, self.every
        self.batches: list[Any] = []
        self.kept, self.used = KEPT, 0.0  # batches for twins, and the rate that the last step was taken at
        self.handles: list[Any] = []
        self.graphs, self.pulse = Graphs(), Pulse()
        self.wired, self.examined, self.closed = False, False, False
        self.state: State | None = None
        self.patient: Patient | None = None
        self.sample: Sample | None = None
        self.held: Sample | None = None
        self.first: Snapshot | None = None

    @property
    def findings(self) -> list[Finding]:
        """What ails, gravest first; a finding's symptoms are in its statistic."""
        return self.diagnosis.findings

    @property
    def symptoms(self) -> list[Finding]:
        """What was found as well, and is explained by a finding."""
        return self.diagnosis.symptoms

    # What happens at each moment of a step.

    def start(self, patient: Patient) -> None:
        """Get to know the patient and attach what must see every forward pass."""
        self.patient, self.outside = patient, Outside(patient.inputs_of)
        self.probe = Probe(patient.model if is_compiled(patient.model) else bare(patient.model), self.record)
        self.first = Snapshot.of(patient)
        gauges.note_facts(patient, self.record)
        self.closures = any(isinstance(each, torch.optim.LBFGS) for each in patient.optimizers.values())
        why = "the optimizer calls the loss itself, several times a step" if self.closures else ""
        why = "torch.compile has the model, and a hook would make it compile again" if self.probe.compiled else why
        self.unseen = {name: why for name in ("dying-relu", "saturated-activations", "missing-zero-grad") if why}
        self.moods = has_batch_norm(patient.bare) or has_dropout(patient.bare)
        self.inputs: tuple[Any, ...] = ()
        self.pulse.stamp()
        if not is_compiled(patient.model):
            self.handles.append(patient.model.register_forward_pre_hook(marked(self._forward_hook())))
        self.probe.listen()

    def _forward_hook(self) -> Callable[..., None]:
        """Notes the mode of every forward pass and how long the loop waited for its batch."""

        def see(module: nn.Module, inputs: Any) -> None:
            if self.broken or self.inside or self.patient is None or module is not self.patient.model:
                return
            if self.mode == "treat":
                self.treatments.forward(module)
            if torch.is_grad_enabled():
                self.pulse.arrived()
                self.inputs = inputs
                if not module.training and self.moods:
                    self.record.add(self.step, "mode", "training in eval mode", 1.0)
                return
            self.pulse.between()
            if module.training and self.moods:
                self.record.add(self.step, "mode", "evaluation in train mode", 1.0)

        return see

    def _hook_optimizers(self) -> None:
        """In a loop that emits no events, the optimizers tell when they step."""
        assert self.patient is not None
        for player, optimizer in self.patient.optimizers.items():

            def before(optimizer: Optimizer, arguments: Any, keywords: Any, player: str = player) -> None:
                if self.guarded(lambda: self.before_step(player), True, self.weighs) is False:
                    for group in optimizer.param_groups:  # without a gradient an optimizer leaves a parameter alone
                        for parameter in group["params"]:
                            parameter.grad = None

            def after(optimizer: Optimizer, arguments: Any, keywords: Any, player: str = player) -> None:
                if self.weighs == 1.0 or self.mode == "treat" or self.outside.waiting is not None:
                    self.guarded(lambda: self.after_update(player), None, self.weighs)

            self.handles.append(optimizer.register_step_pre_hook(before))
            self.handles.append(optimizer.register_step_post_hook(after))

    def _looks_at(self, step: int) -> bool:
        return step <= self.began_at + 2 or step == self.next_look

    def before_step(self, player: str) -> bool:
        """Look at the gradients; False if the step must not be taken because they are not finite."""
        assert self.patient is not None
        if self.closures:
            return True
        self.replay.gradient(self.patient, bool(self.treatments.chart and self.treatments.chart.turn_sign))
        parameters = [each for group in self.patient.optimizers[player].param_groups for each in group["params"]]
        gradients = [each for one in parameters if (each := one.grad) is not None and not each.is_sparse]
        agreed = True
        self.outside.before(self.step + 1, self.record)
        if gradients:
            total = together(gradients, self.plain)
            size = float(total)
            self.pulse.norm(self.step, size)
            self.ran.add("non-finite-values")
            if not math.isfinite(size):
                agreed = self._not_finite()
            elif self.mode == "treat":
                self.treatments.before_step(parameters, torch.as_tensor(total))
        self.used = self.patient.rate  # when the step is told of, a schedule may have set the next one's
        agreed = agreed and (math.isfinite(self.used) or self._not_finite())
        if self._looks_at(self.step + 1):
            self.probe.gradients(player, parameters)
        if self._looks_at(self.step + 2):
            self.probe.remember(parameters)
        return agreed and (self.patient.play is None or self.patient.play.may_step(player))

    def after_update(self, player: str) -> None:
        """Look at what the player's optimizer has changed."""
        if self._looks_at(self.step + 1):
            self.probe.updates(player)
        if self.mode == "treat":
            self.treatments.after_update(player)
        self.outside.after()

    def after_step(self, loss: Any, batch: Any, numbers: dict[str, Any]) -> None:
        """Count the step; at a probe, fetch what was measured, judge it, and act."""
        assert self.patient is not None
        self.step += 1
        self.outside.told(self.step, self.record)
        self.pulse.beat(self.step, self.replay.learned_from(loss, self.patient.spare), self.used or self.patient.rate)
        if self.step % (self.every if self.step <= 10 * self.every else 5 * self.every) == 0:
            self.graphs.mark(self.step, loss)
        if isinstance(loss, dict) and len(loss) > 1:
            for player, each in loss.items():
                self.probe.note("player loss", player, scalar(each))
        for name, value in numbers.items():
            self.probe.note("told", name, scalar(value))
        if batch is not None:
            self._keep(batch, self.pulse.losses[-1])
        looked = self._looks_at(self.step)
        gone_apart.after_round(self, self.patient, loss, looked)
        if looked:
            self._look()
        if self.step >= self.next_look:
            done = self.step - self.began_at
            early = done < 10 * self.every  # later on looks are half as many, over as many steps
            self.next_look = self.step + (self.every if early else max(2 * self.every, done // 25))
            self.probe.window = WINDOW if early else WINDOW // 2
        if self._looks_at(self.step + 1):
            self.probe.listen()
        if looked or not self.examined:  # when a treatment may have given the model other weights
            weights = list(self.patient.bare.parameters())
            self.plain = all(each.is_cpu and each.dtype in (torch.float32, torch.float64) for each in weights)
            self.outside.watch(weights)
        elif self.mode == "treat":
            self.outside.stamp()
        near = not self.examined or self._looks_at(self.step + 1)
        self.weighs = 1.0 if near else float(self.every) if self.step % self.every == self.every // 2 else 0.0
        self.pulse.stamp()

    def _keep(self, batch: Any, loss: Any) -> None:
        """The latest batches, for checks and proofs; the checks are made once there are enough."""
        assert self.patient is not None
        if self.mode == "treat":
            if self.replay.keep(batch):
                self._come_round()
            self.retake.keep(batch)
            batch = self.replay.batch or batch  # that is learned from
        self.batches.append(batch)
        self.outside.batch(self.step, batch, loss)
        if not self.examined or self._looks_at(self.step):
            size = self.record.facts["rows a batch"] = self.patient.rows(batch)
            self.kept = max(KEPT, KEPT_ROWS // max(1, size))
        del self.batches[: -self.kept if self.examined else -4 * self.kept]
        if not self.examined:
            rows = sum(map(self.patient.rows, self.batches))
            if not self.wired and rows >= EARLY:
                self.examine(list(self.batches), early=True)
            if len(self.batches) >= 4 * self.kept or (self.step >= 4 and rows >= 512):
                self.examine(list(self.batches))
        if self.step == 1:
            check_first_step(self, self.patient, batch)

    def _come_round(self) -> None:
        """Every row of the loop was shown once: what they are is seen anew, on rows as they are drawn."""
        self.new_episode()
        self.retake.draw(self)
        self.treatments.begin_anew()
        self.batches = self.replay.batches(self.kept)
        self.examine(self.batches)

    def _look(self) -> None:
        """Numbers from the device; at a round also rules, causes, proofs, remedies."""
        assert self.patient is not None
        self._fetch()
        if self.replay.grows or self.step < self.next_round:
            return  # a loss on ever more rows says nothing of the training
        self.next_round = self.step + max(self.every, (self.step - self.began_at) // 10)
        self.record.facts["doctor's own memory"] = (self.retake.bytes + getattr(self.patient.play, "bytes", 0)) / 2**20
        gauges.read(self.patient, self.record, self.batches, self.scaler, self.step, (self.sample, self.held))
        self.graphs.count(self.record, self.step)
        self.treatments.hold()
        findings = self._judge()
        if self.mode != "watch":
            self.treatments.round(findings)

    def _judge(self) -> list[Finding]:
        """All rules on the record so far."""
        findings, skipped = judge(self.record)
        self.skipped |= skipped | self.unseen
        self.ran |= {name for name, _ in RULES} - set(skipped)
        self.diagnosis.reconsider(self.record, {each["finding"] for each in self.history})
        for finding in findings:
            self.diagnosis.take(finding, self.step)
        self._speak()
        return findings

    def _speak(self) -> None:
        """Tell what was not told yet; notes are left to the report."""
        for finding in self.findings:
            if finding.name not in self.told and finding.severity != "note":
                self.told.add(finding.name)
                where = f" in {finding.where}" if finding.where else ""
                words = f"{finding.title}{where} ({finding.sure:.0%} sure). {finding.evidence} {finding.cause}"
                self.tell(f"doctor, step {self.step}: {words}")

    def _fetch(self) -> None:
        """What was noted since the last look, from the device to the record."""
        self.probe.quiet()
        self.probe.fetch(self.step)
        self.pulse.hand_over(self.record, self.patient.sign if self.patient is not None else 1.0)
        self.outside.fetch(self.record)
        self.record.facts["step"] = self.step

    def examine(self, batches: Iterable[Any], *, early: bool = False) -> None:
        """The checks before training, on the weights as they were before the first step where those are kept.

        early: on the first rows alone, to mend the wiring before more are lost; what so few cannot show comes later.
        """
        assert self.patient is not None
        self.wired, self.examined, sample = True, not early, collect(self.patient, batches)
        self.sample = sample
        unread = self.held_out is None or early
        held = None if unread else collect(self.patient, read(self.held_out))
        self.held = held if held is not None and gauges.takes(self.patient, held) else None
        self.record.facts["folds"] = held is not None and held.folded
        self.batches = self.batches or list(sample.batches[: self.kept])
        self.record.facts.setdefault("rows a batch", sample.sizes[0] if sample.sizes else 0)
        patient = self.first.patient(self.patient) if self.first is not None and self.step else self.patient
        left_out = OF_MANY_ROWS if early else self.ran & WIRED
        known = {each.name for each in self.findings}
        self.conclude(*examine(patient, sample, held, self.record.facts, left_out=left_out, found=known))

    def conclude(self, findings: list[Finding], skipped: dict[str, str], ran: list[str]) -> None:
        """Take what checks of rows and wiring gave, tell it and act on it."""
        self.ran |= set(ran)
        self.skipped = {name: why for name, why in (self.skipped | skipped).items() if name not in self.ran}
        for finding in findings:
            self.diagnosis.take(finding, self.step)
        self._speak()
        if self.mode != "watch":
            self.treatments.round(findings)

    def suspect(self, patient: Patient | None = None, tapes: Sequence[Any] = ()) -> Suspect | None:
        """What a suspicion can be tried on now; on tapes, where copies of the patient are trained on those."""
        patient, batches = patient or self.patient, tapes or self.batches[-self.kept :]
        if patient is None or patient.loss_of is None or not batches or len(patient.players) > 1:
            return None
        planned = int(self.record.facts.get("steps") or 0)
        self.diagnosis.proof.planned = self.record.facts.get("seconds planned") or 0.0
        patient.clip = getattr(self.treatments.chart, "clip", None) or clipped_at(self.record)
        start = self.first.into if self.first is not None else (lambda model, optimizers: None)
        told = learned(self.record), latest(self.record), guessing(self.record), ahead(self.record)
        seen = tapes or ([] if self.replay.on else self.retake.latest())
        return Suspect(patient, batches, start, self.step, planned, *told, seen, bool(tapes))

    def _not_finite(self) -> bool:
        """Report the first gradient that is not finite; in treat mode refuse the step."""
        assert self.patient is not None
        self.record.add(self.step + 1, "not finite", "", 1.0)
        count = len(self.record.get("not finite"))
        if self.scaler is not None and count <= max(3, self.step // 40):
            return True  # a scaler in search of its scale
        if not self.diagnosis.has("non-finite-values"):
            self._fetch()
            batch = getattr(self.state, "current", None) if self.state is not None else None
            finding = not_finite(self.patient, batch, self.inputs, self.batches, self.step + 1)
            self.diagnosis.take(finding, self.step)
            self._speak()
            if finding.statistic["origin"] not in ("input", "rate") and self.step and self.suspect() is not None:
                self.diagnosis.take(too_long(self.step + 1), self.step)
        if self.mode != "watch":
            self.treatments.round([])
        return self.mode != "treat"

    def new_episode(self) -> None:
        """Set aside what was measured, so that rules judge what comes after a treatment by itself."""
        self.episodes.append(self.record)
        self.record = Record()
        self.probe.forget(self.record)
        self.pulse.clear()
        self.began_at = self.step
        self.next_look, self.next_round = self.step + self.every, self.step
        self.diagnosis.proof.forget()

    def detach(self) -> None:
        """Take off all hooks."""
        for handle in self.handles:
            handle.remove()
        self.handles = []
        if hasattr(self, "probe"):
            self.probe.quiet()

    def guarded(self, action: Callable[[], Any], otherwise: Any = None, weighs: float = 1.0) -> Any:
        """Do it; an error is reported once and ends the watching, never the training.

        weighs: times of which this is one that is taken, as reading the clock at each would be dear; 0 for no reading.
        """
        if self.broken or self.closed or self.retake.under_way:
            return otherwise
        inside, self.inside, began = self.inside, True, time.thread_time() if weighs else 0.0
        try:
            return action()
        except Exception as error:  # whatever it is, the training must go on
            self.broken = f"{type(error).__name__}: {error}"
            self.detach()
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(
                f"trainwell's doctor stopped watching: {self.broken} ({where.filename}:{where.lineno})", file=sys.stderr
            )
            return otherwise
        finally:
            self.inside = inside
            if weighs and not inside:
                self.seconds += weighs * (time.thread_time() - began)
