"""A training, in whatever loop, to findings and remedies: probes, rules and twins tied to its steps.

In a loop of one's own it takes two lines:

    doctor = Doctor(model, optimizer, loss=criterion)
    for x, y in loader:
        ...
        optimizer.step()
        doctor.watch(loss, x, y)

In this package's loop it is `Doctor(mode="treat").attach(events, state, loader=loader, held_out=held_out)`.
"""

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.doctor.diagnosis import CERTAIN, Proof, confirm, explained_by
from trainwell.doctor.examine import examine, recall_of_rarest
from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.origin import not_finite
from trainwell.doctor.patient import Patient, answering, bare, from_loop, from_state, rows_of
from trainwell.doctor.probe import Probe, has_batch_norm, has_dropout, is_compiled, marked
from trainwell.doctor.rounds import judge
from trainwell.doctor.sample import Sample, collect
from trainwell.doctor.series import Record
from trainwell.doctor.snapshot import Snapshot
from trainwell.doctor.treatment import Treatments
from trainwell.doctor.wiring_check import slow_rows
from trainwell.runs import RunFolder
from trainwell.train.events import Events
from trainwell.train.state import State

Mode = Literal["watch", "ask", "treat"]
KEPT = 8  # batches that twins may train on
SUSPICIONS = {
    "learning-rate-too-high", "learning-rate-too-low", "exploding-gradient", "plateau", "oscillating-loss", "update-ratio-off",
}  # fmt: skip


class Doctor:
    """Watches a training and says what ails it; in `treat` mode it also cures.

    mode: "watch" says, "ask" also proposes the exact change, "treat" makes it; `every`: steps between two looks;
    budget: share of the training's steps that proofs on copies may cost; held_out: batches that are not trained on;
    steps: how many are planned, if that is known. `loss(output, target)` makes the loss; without it the checks that
    must compute one are skipped. `findings`, `skipped`, `history` hold what came of it; `print(doctor)` tells it.

    An error inside the doctor is reported once on stderr, and the training goes on unwatched.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        optimizer: Optimizer | list[Optimizer] | dict[str, Optimizer] | None = None,
        loss: Callable[..., Any] | None = None,
        *,
        mode: Mode = "watch",
        every: int = 10,
        budget: float = 0.3,
        held_out: Iterable[Any] | None = None,
        steps: int = 0,
        folder: RunFolder | None = None,
    ) -> None:
        if mode not in ("watch", "ask", "treat"):
            raise ValueError(f"no mode {mode!r}; choose watch, ask or treat")
        self.mode, self.every, self.held_out, self.folder = mode, max(2, every), held_out, folder
        self.record = Record({"steps": steps})
        self.findings: list[Finding] = []
        self.symptoms: list[Finding] = []  # what a finding already explains
        self.ran: set[str] = set()
        self.skipped: dict[str, str] = {}
        self.history: list[dict[str, Any]] = []
        self.broken = ""  # the error that ended the watching
        self.seconds = 0.0  # that the doctor itself took
        self.proof = Proof(budget)
        self.treatments = Treatments(self)
        self.episodes: list[Record] = []  # what was measured before each treatment
        self.sample: Sample | None = None
        self.held: Sample | None = None
        self.first: Snapshot | None = None
        self.kept = KEPT
        self.step, self.batches, self.examined = 0, [], False
        self.handles: list[Any] = []
        self.losses: list[tuple[int, Tensor | float]] = []
        self.state: State | None = None
        self.patient: Patient | None = None
        if model is not None:
            self._start(from_loop(model, optimizer if optimizer is not None else {}, loss))
            self._hook_optimizers()

    # The two ways in: a hand-written loop, and this package's events.

    def watch(self, loss: Any, inputs: Any = None, target: Any = None) -> None:
        """Tell the doctor that a step is done: its loss, and for checks and proofs its inputs and targets.

        loss: a tensor, a number, a tuple that begins with one, or one loss a player by name.
        """
        batch = None if inputs is None else (inputs, target)
        self._safely(lambda: self._after_step(_scalar(loss), batch))

    def evaluated(self, **metrics: float) -> None:
        """Tell the doctor what an evaluation on held-out rows gave, as in evaluated(loss=0.3, accuracy=0.9)."""

        def note() -> None:
            known = self.record.get("held out", next(iter(metrics)))
            for name, value in metrics.items():
                self.record.add(self.step, "held out", name, float(value))
            values = known.values or [math.inf]
            self.treatments.evaluated("loss" in next(iter(metrics)) and next(iter(metrics.values())) <= min(values))
            if self.held is not None and self.patient is not None:
                recall = recall_of_rarest(self.patient, self.held, self.record.facts)
                self.record.facts["recall of the rarest class"] = recall

        self._safely(note)

    def check(self, batches: Iterable[Any]) -> list[Finding]:
        """The checks before training on these batches, each (inputs, target) or as the loop's task has them."""
        self._safely(lambda: self._examine(batches))
        return self.findings

    def attach(
        self, events: Events, state: State, *, loader: Any = None, held_out: Any = None, folder: RunFolder | None = None
    ) -> "Doctor":
        """Listen to a loop's events; `loader` and `held_out` are read before the first step, without disturbing them."""
        self.state, self.held_out, self.folder = state, held_out, folder or self.folder

        def start(state: State) -> None:
            self.step, self.record.facts["steps"] = state.step, state.steps
            self._start(from_state(state))
            if loader is not None:
                self._examine(_read(loader))

        def gradient(state: State, player: str, loss: Any) -> bool:
            agreed = self._safely(lambda: self._before_step(player), True)
            return agreed is not False

        def step(state: State, losses: dict[str, Any]) -> None:
            def look() -> None:
                for player in losses:
                    self._after_update(player)
                mean = sum(each.total / each.count for each in losses.values() if each.count)
                self._after_step(mean, getattr(state, "current", None))

            self._safely(look)

        events.on("start", lambda state: self._safely(lambda: start(state)))
        events.on("gradient", gradient)
        events.on("step", step)
        events.on("evaluate", lambda state, metrics: self.evaluated(**metrics))
        events.on("end", lambda state: self.close())
        return self

    # What happens at each moment of a step.

    def _start(self, patient: Patient) -> None:
        """Get to know the patient and attach what must see every forward pass."""
        self.patient = patient
        self.probe = Probe(patient.model if is_compiled(patient.model) else bare(patient.model), self.record)
        self.norms: list[tuple[int, Tensor]] = []
        self.first = Snapshot.of(patient) if patient.loss_of is not None else None
        self.closures = any(isinstance(each, torch.optim.LBFGS) for each in patient.optimizers.values())
        if self.closures:
            self.skipped |= {
                name: "the optimizer calls the loss itself" for name in ("missing-zero-grad", "exploding-gradient")
            }
        if self.probe.compiled:
            why = "torch.compile has the model; a hook would make it compile again"
            self.skipped |= {name: why for name in ("dying-relu", "saturated-activations", "missing-zero-grad")}
        self.moods = has_batch_norm(patient.bare), has_dropout(patient.bare)
        self.ended = time.perf_counter()
        if not is_compiled(patient.model):
            self.handles.append(patient.model.register_forward_pre_hook(marked(self._forward_hook())))
        self.probe.listen()

    def _forward_hook(self) -> Callable[..., None]:
        """Notes the mode of every forward pass and how long the loop waited for its batch."""

        def see(module: nn.Module, inputs: Any) -> None:
            if self.broken or self.patient is None or module is not self.patient.model:
                return
            if torch.is_grad_enabled():
                if self.ended:
                    self.waited, self.ended = time.perf_counter() - self.ended, 0.0
                self.inputs = inputs
                self.treatments.forward(module)
                if not module.training and any(self.moods):
                    self.record.add(self.step, "mode", "training in eval mode", 1.0)
            elif module.training and any(self.moods):
                self.record.add(self.step, "mode", "evaluation in train mode", 1.0)

        self.waited, self.inputs, self.began = 0.0, (), time.perf_counter()
        return see

    def _hook_optimizers(self) -> None:
        """In a loop that emits no events, the optimizers tell when they step."""
        assert self.patient is not None
        for player, optimizer in self.patient.optimizers.items():

            def before(optimizer: Optimizer, arguments: Any, keywords: Any, player: str = player) -> None:
                if self._safely(lambda: self._before_step(player), True) is False:
                    for group in optimizer.param_groups:  # without a gradient an optimizer leaves a parameter alone
                        for parameter in group["params"]:
                            parameter.grad = None

            def after(optimizer: Optimizer, arguments: Any, keywords: Any, player: str = player) -> None:
                self._safely(lambda: self._after_update(player))

            self.handles.append(optimizer.register_step_pre_hook(before))
            self.handles.append(optimizer.register_step_post_hook(after))

    def _parameters(self, player: str) -> list[nn.Parameter]:
        assert self.patient is not None
        return [each for group in self.patient.optimizers[player].param_groups for each in group["params"]]

    def _looks_at(self, step: int) -> bool:
        return step <= 2 or step % self.every == 0

    def _before_step(self, player: str) -> bool:
        """Look at the gradients; False if the step must not be taken because they are not finite."""
        assert self.patient is not None
        began = time.perf_counter()
        if self.closures:
            return True
        parameters = self._parameters(player)
        gradients = [each.grad for each in parameters if each.grad is not None and not each.grad.is_sparse]
        agreed = True
        if gradients:
            total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            self.norms.append((self.step, total))
            if not math.isfinite(float(total)):
                agreed = self._not_finite(player)
            elif self.mode == "treat":
                self.treatments.before_step(parameters, total)
        if self._looks_at(self.step + 2):
            self.probe.remember(parameters)
        if self._looks_at(self.step + 1):
            self.probe.gradients(player, parameters)
        self.seconds += time.perf_counter() - began
        return agreed

    def _after_update(self, player: str) -> None:
        if self._looks_at(self.step + 1):
            self.probe.updates(player)
        if self.mode == "treat":
            self.treatments.after_update(player)

    def _after_step(self, loss: Tensor | float, batch: Any) -> None:
        """Count the step; at a probe, fetch what was measured, judge it, and act."""
        assert self.patient is not None
        began = time.perf_counter()
        self.step += 1
        self.record.facts["step"] = self.step
        loss = loss.detach() if isinstance(loss, Tensor) else loss
        self.losses.append((self.step, loss))
        rate = max(
            (float(group["lr"]) for each in self.patient.optimizers.values() for group in each.param_groups),
            default=0.0,
        )
        self.record.add(self.step, "rate", "", rate)
        self.record.add(self.step, "waiting", "", self.waited if self.handles else 0.0)
        self.record.add(self.step, "seconds", "", began - self.began)
        if batch is not None:
            self.batches.append(batch)
            del self.batches[: -4 * KEPT if not self.examined else -KEPT]
            if not self.examined and (len(self.batches) >= 4 * KEPT or self._enough()):
                self._examine(list(self.batches))
        if self._looks_at(self.step):
            self._look()
        if self._looks_at(self.step + 1):
            self.probe.listen()
        self.began = self.ended = time.perf_counter()
        self.seconds += self.began - began

    def new_episode(self) -> None:
        """Set aside what was measured, so that rules judge what comes after a treatment by itself."""
        self.episodes.append(self.record)
        self.record = Record()
        self.probe.forget(self.record)
        self.losses, self.norms = [], []
        self.proof.refuted = {}

    def _enough(self) -> bool:
        return (
            self.step >= 4
            and sum(rows_of(batch[0] if isinstance(batch, tuple) else batch["inputs"]) for batch in self.batches) >= 512
        )

    def _look(self) -> None:
        """One round: numbers from the device, rules, causes, proofs, remedies."""
        self.probe.quiet()
        self.probe.fetch(self.step)
        self._fetch_steps()
        if (
            self.patient is not None
            and self.record.facts.get("loss") == "mse"
            and self.record.facts.get("head") in ("sigmoid", "softmax")
        ):
            self._look_at_slowdown()
        findings, skipped = judge(self.record)
        self.skipped = {**self.skipped, **skipped}
        for name in {rule for rule in AILMENTS if rule in skipped} & self.ran:
            del self.skipped[name]
        self.ran |= set(RULE_NAMES) - set(skipped)
        for name in self.ran:
            self.skipped.pop(name, None)
        for finding in findings:
            self._told(finding)
        if self.mode != "watch":
            self.treatments.round(findings)

    def _fetch_steps(self) -> None:
        """The losses and gradient norms since the last look, in one transfer each."""
        for quantity, kept in (("loss", self.losses), ("gradient norm", self.norms)):
            tensors = [value for _, value in kept if isinstance(value, Tensor)]
            numbers = iter(torch.stack([each.float().reshape(()) for each in tensors]).tolist() if tensors else [])
            for step, value in kept:
                self.record.add(step, quantity, "", next(numbers) if isinstance(value, Tensor) else float(value))
            kept.clear()

    def _look_at_slowdown(self) -> None:
        """Squared error behind a squashing head: note the share of rows that are wrong where it is flat."""
        assert self.patient is not None
        if self.batches and isinstance(self.patient.target_of(self.batches[-1]), Tensor):
            with answering(self.patient.bare):
                output = self.patient.output(self.patient.bare, self.batches[-1])
            if output is not None:
                share = slow_rows(output, self.patient.target_of(self.batches[-1]), self.record.facts["head"])
                self.record.add(self.step, "slow rows", "", share)

    def _examine(self, batches: Iterable[Any]) -> None:
        """The checks before training; on the weights as they were before the first step, where those are kept."""
        assert self.patient is not None
        self.examined = True
        sample = collect(self.patient, batches)
        self.held = collect(self.patient, _read(self.held_out)) if self.held_out is not None else None
        if not self.batches:
            self.batches = list(sample.batches[:KEPT])
        patient = self.first.patient(self.patient) if self.first is not None and self.step else self.patient
        findings, skipped, ran = examine(patient, sample, self.held, self.record.facts)
        self.sample = sample
        self.ran |= set(ran)
        self.skipped |= {name: why for name, why in skipped.items() if name not in self.ran}
        for finding in findings:
            self._told(finding)
        if self.mode != "watch":
            self.treatments.round(findings)

    def _told(self, finding: Finding) -> None:
        """Take a rule's finding into the diagnosis, unless it is known, explained, or refuted by its twins."""
        known = {each.name for each in (*self.findings, *self.symptoms)}
        if finding.name in known or (self.step < self.proof.refuted.get(finding.name, 0)):
            return
        cause = explained_by(finding.name, self.findings)
        if cause is not None and finding.name not in CERTAIN:
            cause.statistic.setdefault("symptoms", []).append(f"{finding.title}: {finding.evidence}")
            self.symptoms.append(finding)
            return
        proven = self._proven(finding)
        if proven is None:
            self.proof.refuted[finding.name] = 2 * self.step + 50
            return
        if proven.name in known:
            return
        self.findings.append(proven)
        for other in [each for each in self.findings if each is not proven and each.name not in CERTAIN]:
            if explained_by(other.name, [proven]) is not None and other.cured is None:
                self.findings.remove(other)
                self.symptoms.append(other)
        self.findings.sort(key=lambda each: (each.severity == "note", each.name in CERTAIN))

    def _proven(self, finding: Finding) -> Finding | None:
        """The finding after its twins, or as it is where none can be run."""
        assert self.patient is not None
        if finding.name not in SUSPICIONS or self.patient.loss_of is None or not self.batches:
            return finding
        if not self.proof.may_spend(150, self.step, int(self.record.facts.get("steps") or 0)):
            return finding
        try:
            return confirm(finding, self.patient, self.batches[-KEPT:], self.proof, self._before_the_trouble())
        except RuntimeError as error:
            finding.statistic["unproven"] = str(error)
            return finding

    def _before_the_trouble(self) -> Callable[..., None]:
        first = self.first
        return (lambda model, optimizers: None) if first is None else first.into

    def _not_finite(self, player: str) -> bool:
        """Report the first gradient that is not finite; in treat mode refuse the step."""
        assert self.patient is not None
        self.record.add(self.step + 1, "not finite", "", 1.0)
        if "non-finite-values" not in {each.name for each in self.findings}:
            self._fetch_steps()
            self.probe.quiet()
            batch = getattr(self.state, "current", None) if self.state is not None else None
            finding = not_finite(self.patient, batch, self.inputs, self.batches, self.step + 1)
            self._told(finding)
            suspicion = Finding(
                "learning-rate-too-high", "optimizer", "critical", "The training ran into values that are not finite.",
                "Steps that are too long for the slope.", 0.6, self.step + 1, statistic={"diverging": False},
            )  # fmt: skip
            if finding.statistic.get("origin") in ("weights", "activation", "loss", "gradient") and self.step >= 1:
                self._told(suspicion)
            if self.mode != "watch":
                self.treatments.round([])
        return self.mode != "treat"

    # The end, and what is left behind.

    def close(self) -> None:
        """Take off all hooks, judge a last time and write the run's files."""

        def finish() -> None:
            if self.losses:
                self.probe.quiet()
                self.probe.fetch(self.step)
                self._fetch_steps()
                for finding in judge(self.record)[0]:
                    self._told(finding)
            if self.folder is not None:
                self.write(self.folder)

        if self.patient is not None:
            self._safely(finish)
        self._detach()

    def write(self, folder: RunFolder) -> None:
        """findings.jsonl, checks.json, history.json and probes.json into the run folder."""
        folder.write_text("findings.jsonl", "")
        for finding in self.findings:
            folder.append("findings.jsonl", finding.to_dict())
        folder.write_json("checks.json", self.checks())
        folder.write_json("history.json", self.history)
        folder.write_json("probes.json", self.record.to_dict())

    def checks(self) -> dict[str, Any]:
        """{"run": names, "skipped": {name: why}} over all ailments."""
        skipped = {
            name: self.skipped.get(name, "nothing in this run shows it") for name in AILMENTS if name not in self.ran
        }
        return {"run": sorted(self.ran, key=list(AILMENTS).index), "skipped": skipped}

    def __str__(self) -> str:
        checks = self.checks()
        lines = [str(finding) for finding in self.findings]
        lines.append(
            f"Watched {len(checks['run'])} checks over {self.step} steps; {len(checks['skipped'])} could not run."
        )
        if not self.findings:
            lines.append("Nothing found.")
        if self.broken:
            lines.append(f"The doctor stopped watching after an error of its own: {self.broken}")
        return "\n".join(lines)

    def _detach(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []
        if self.patient is not None:
            self.probe.quiet()

    def _safely(self, action: Callable[[], Any], otherwise: Any = None) -> Any:
        """Do it; an error is reported once and ends the watching, never the training."""
        if self.broken:
            return otherwise
        try:
            return action()
        except Exception as error:  # whatever it is, the training must go on
            self.broken = f"{type(error).__name__}: {error}"
            self._detach()
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(
                f"trainwell's doctor stopped watching: {self.broken} ({where.filename}:{where.lineno})", file=sys.stderr
            )
            return otherwise


RULE_NAMES = tuple(AILMENTS)


def _read(loader: Any) -> Iterable[Any]:
    """The batches of a loader from its beginning, whichever way it hands them out."""
    return loader.iterate(0) if hasattr(loader, "iterate") else iter(loader)


def _scalar(loss: Any) -> Tensor | float:
    """One number for whatever a loop calls its loss."""
    if isinstance(loss, dict):
        return sum(_scalar(each) for each in loss.values())
    if isinstance(loss, tuple | list):
        return _scalar(loss[0]) if loss else math.nan
    if isinstance(loss, Tensor):
        return loss.detach() if loss.numel() == 1 else loss.detach().float().mean()
    return _scalar(loss.loss) if hasattr(loss, "loss") else float(loss)
