"""A training, in whatever loop, to findings and remedies: probes, rules and twins tied to its steps.

In a loop of one's own it takes two lines:

    doctor = Doctor(model, optimizer, loss=criterion)
    for x, y in loader:
        ...
        optimizer.step()
        doctor.watch(loss, x, y)

In this package's loop it is `Doctor(mode="treat").attach(events, state, loader=loader, held_out=held_out)`.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.doctor import bound, duel, gauges, modes, play, players
from trainwell.doctor.acquaint import Acquaintance
from trainwell.doctor.augment_check import STEPS, label_breaking_augmentation
from trainwell.doctor.finding import AILMENTS, Finding
from trainwell.doctor.noise import note_certainty
from trainwell.doctor.overheard import Overheard
from trainwell.doctor.patient import Patient, answering, bare, from_loop, from_state, leaving_no_trace
from trainwell.doctor.sample import Sample, read
from trainwell.doctor.suspect import Suspect
from trainwell.doctor.tapes import Tapes
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.ward import Mode, Ward
from trainwell.runs import RunFolder
from trainwell.tasks.draws import signed
from trainwell.train.distributed import world_size
from trainwell.train.events import Events
from trainwell.train.state import State


class Doctor(Ward):
    """Watches a training and says what ails it; in `treat` mode it also cures.

    mode: "watch" says, "ask" also proposes the exact change, "treat" makes it; every: steps between two looks;
    budget: share of the training's steps that proofs on copies may cost; held_out: batches that are not trained on;
    steps: how many are planned, if that is known; scaler: of mixed precision, to read its scale. `loss(output, target)`
    makes the loss; without it the checks that must compute one are skipped. Where it is a module, and no `held_out` is
    given, what the loop asks it about without gradient is overheard as an evaluation. `findings`, `skipped` and
    `history` hold what came of it; `print(doctor)` tells it.

    An error inside the doctor is reported once on stderr, and the training goes on unwatched.
    Raises ValueError for an unknown mode.
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
        scaler: Any = None,
    ) -> None:
        if mode not in ("watch", "ask", "treat"):
            raise ValueError(f"no mode {mode!r}; choose watch, ask or treat")
        super().__init__(mode, every, budget, held_out, scaler)
        self.folder = folder
        self.record.facts["steps"] = steps
        self.told_of_evaluation = False
        self.overheard: Overheard | None = None
        self.acquaintance: Acquaintance | None = None
        self.tapes = Tapes(self)
        if model is not None:
            self.meet(from_loop(model, optimizer if optimizer is not None else {}, loss))
            self.acquaint(loss)
            if isinstance(loss, nn.Module) and held_out is None:
                self.overheard = Overheard(self, loss)
                self.guarded(self.overheard.listen)

    def suspect(self, patient: Patient | None = None, tapes: Sequence[Any] = ()) -> Suspect | None:
        """What a suspicion can be tried on now: steps on tape where nothing else makes the loss."""
        if not self.tapes.enough:
            return super().suspect(patient, tapes)
        return super().suspect(self.tapes.patient, self.tapes.tapes)

    def new_episode(self) -> None:
        """Set aside what was measured and heard, as after a treatment."""
        super().new_episode()
        if self.tapes.enough:
            self.tapes.anew()

    # The ways in.

    def watch(self, loss: Any, inputs: Any = None, target: Any = None, **numbers: Any) -> None:
        """Tell the doctor that a step is done: its loss, and for checks and proofs its inputs and targets.

        loss: a tensor, a number, a tuple that begins with one, or one loss a player by name; further numbers by name
        are kept as they are, such as kl=kl for an autoencoder's divergence in nats a row.
        """
        batch, acquaintance = None if inputs is None else (inputs, target), self.acquaintance
        if acquaintance is not None and (acquaintance.feeds or not acquaintance.known):
            batch = self.guarded(lambda: acquaintance.batch(loss, batch), batch)
        self.watch_batch(loss, batch, **numbers)
        if not self.tapes.over:
            self.guarded(lambda: self.tapes.told(loss, batch))

    def watch_batch(self, loss: Any, batch: Any = None, **numbers: Any) -> None:
        """The same with the batch whole, in the form that the patient's own functions take it."""
        self.guarded(lambda: self.after_step(loss, batch, numbers), None, self.weighs)

    def meet(self, patient: Patient, *, hooked: bool = True) -> None:
        """Begin to watch a patient whose loop tells its steps by `watch`.

        hooked: its optimizers tell when they step; without it the loop calls `before_step` and `after_update` itself.
        """

        def begin() -> None:
            self.start(patient)
            if hooked:
                self._hook_optimizers()

        self.guarded(begin)

    def acquaint(self, loss: Callable[..., Any] | None) -> None:
        """Find out at the first step how a loop makes its loss; loss: its own function, where it tells one."""
        self.acquaintance = Acquaintance(self, loss)
        self.guarded(self.acquaintance.listen)
        self.guarded(self.tapes.listen)
        self.guarded(lambda: bound.listen(self))
        self.guarded(lambda: play.listen(self))

    def evaluated(self, **metrics: float) -> None:
        """Tell the doctor what an evaluation on held-out rows gave, as in evaluated(loss=0.3, accuracy=0.9)."""
        self.told_of_evaluation = True
        self.guarded(lambda: self.take_evaluation(metrics))

    def take_evaluation(self, metrics: dict[str, float]) -> None:
        """The same, of an evaluation that was overheard as well."""
        sign = self.patient.sign if self.patient is not None else 1.0
        spare = self.patient.spare if self.patient is not None else None
        off = float(spare.latest) if spare is not None else 0.0
        metrics = {name: sign * (value - off) if "loss" in name else value for name, value in metrics.items()}
        name, value = next(iter(metrics.items()))
        whole = (*self.episodes, self.record)  # a treatment begins a new record
        before = [each for record in whole for each in record.get("held out", name).values] or [math.inf]
        for each, number in metrics.items():
            self.record.add(self.step, "held out", each, float(number))
        if self.patient is not None:
            if self.mode == "treat":
                self.treatments.evaluated("loss" in name and value <= min(before))
            if self.held:
                self._read_held(self.patient, self.held, metrics.get("loss"))
        self.pulse.stamp()

    def _read_held(self, patient: Patient, held: Sample, loss: float | None) -> None:
        gauges.attempt(self.record, "held out", lambda: gauges.read_held(patient, self.record, held, self.step))
        if loss is not None and self.state is None:
            told = float(loss)
            gauges.attempt(
                self.record,
                "held out by mode",
                lambda: modes.read_held(patient, self.record, held.batches, told, self.step),
            )

    def generated(self, fake: Tensor, real: Tensor, classes: Tensor | None = None) -> None:
        """Show samples of a generator beside as many real rows, each (rows, ...); classes: that both were made for."""

        def look() -> None:
            patient = self.patient
            if patient is not None and len(patient.players) == 2:
                self.record.facts |= {"rates apart": duel.count_turns(patient), "noise": duel.faintest(patient)}
            shown = patient.play.in_units(real) if patient is not None and patient.play is not None else real
            players.look(self.record, self.step, patient.bare if patient else None, fake, shown, classes)

        self.guarded(look)

    def check(self, batches: Iterable[Any]) -> list[Finding]:
        """The checks before training on these batches, each (inputs, target) or as the loop's task has them."""
        self.guarded(lambda: self.examine(batches))
        return self.findings

    def check_augmentation(self, plain: list[Any], augmented: list[Any]) -> list[Finding]:
        """Whether an augmentation changes the labels: as many batches without as with it, of the same rows."""

        def check() -> None:
            assert self.patient is not None
            self.ran.add("label-breaking-augmentation")
            finding = label_breaking_augmentation(self.patient, plain, augmented)
            if finding is not None:
                self.diagnosis.take(finding, self.step)

        self.guarded(check)
        return self.findings

    def attach(
        self, events: Events, state: State, *, loader: Any = None, held_out: Any = None, folder: RunFolder | None = None
    ) -> "Doctor":
        """Listen to a loop's events; `loader` and `held_out` are read before the first step, and not disturbed
        by it."""
        self.state, self.held_out, self.folder = state, held_out, folder or self.folder

        def start(state: State) -> None:
            if world_size() > 1 and self.mode == "treat":
                self.mode = "ask"  # ranks must take the same steps, and each doctor sees its own rank's rows alone
            self.step = self.began_at = state.step
            self.next_look = self.next_round = state.step + self.every
            self.record.facts |= {"steps": state.steps, "resumed": state.step}
            self.start(from_state(state))
            if loader is not None:
                self.record.facts["augmented"] = getattr(loader, "transform", None) is not None
                self.examine(read(loader))
                self._check_own_augmentation(loader)

        def step(state: State, losses: dict[str, Any]) -> None:
            for player in losses:
                self.after_update(player)
            means = {player: each.total / each.count for player, each in losses.items() if each.count}
            logs = {name: value for each in losses.values() for name, value in each.logs.items()}
            self.after_step(means, getattr(state, "current", None), logs)

        events.on("start", lambda state: self.guarded(lambda: start(state)))
        events.on(
            "gradient", lambda state, player, loss: self.guarded(lambda: self.before_step(player), True, self.weighs)
        )
        events.on("step", lambda state, losses: self.guarded(lambda: step(state, losses), None, self.weighs))
        events.on("evaluate", lambda state, metrics: self._look_at_samples(state))
        events.on("evaluate", lambda state, metrics: self.evaluated(**metrics))
        events.on("close", lambda state: self.close())
        return self

    def _look_at_samples(self, state: State) -> None:
        """What a generator draws beside the held-out rows, where an adversary learns."""

        def look() -> None:
            batch = next(iter(self.held_out), None) if self.held_out is not None else None
            if batch is None:
                return
            with answering(state.model):
                made = state.task.predict(bare(state.model), batch).get("sample")
            if made is not None:
                classes = batch.get("target") if getattr(bare(state.model), "classes", 0) else None
                self.generated(made, signed(batch["inputs"][0]).reshape(made.shape), classes)

        if len(state.task.players) > 1:
            self.guarded(look)

    def _check_own_augmentation(self, loader: Any) -> None:
        """The loader's own augmentation, where the training is long enough to pay for the proof."""
        assert self.patient is not None
        proof, planned = self.diagnosis.proof, int(self.record.facts.get("steps") or 0)
        if getattr(loader, "transform", None) is None or len(self.patient.players) > 1:
            return
        facts = self.record.facts
        cost, whole = 2 * STEPS * facts.get("seconds a step", 0.0), facts.get("seconds planned") or 0.0
        if proof.share * planned < 2 * STEPS or cost > THRESHOLDS.proof_share * whole:
            self.skipped["label-breaking-augmentation"] = "the training is too short to pay for the proof"
            return
        plain = copy.copy(loader)
        plain.transform = None
        with leaving_no_trace():
            pairs = list(itertools.islice(zip(plain.iterate(0), loader.iterate(0), strict=False), 12))
        proof.spent += 2 * STEPS
        self.check_augmentation([one for one, _ in pairs], [other for _, other in pairs])

    # The end, and what is left behind.

    def close(self) -> None:
        """Take off all hooks, judge a last time and write the run's files; a second call does nothing."""

        def finish() -> None:
            assert self.patient is not None
            self._fetch()
            if self.overheard is not None:
                self.overheard.over()
            if self.patient.loss_of is not None:
                note_certainty(self.patient, self.record, self.batches, self.step, (self.sample, self.held))
            if self.sample is not None and self.patient.loss_of is not None:
                accuracy = gauges.accuracy(self.patient, self.sample, self.record.facts)
                if accuracy is not None:
                    self.record.add(self.step, "training accuracy", "", accuracy)
            self._judge()
            if self.mode == "treat":
                self.treatments.settle()

        if self.patient is not None and not self.closed:
            self.guarded(finish)
            self.detach()
            if self.folder is not None:
                self.write(self.folder)
        self.closed = True

    def write(self, folder: RunFolder) -> None:
        """findings.jsonl, checks.json, history.json and probes.json into the run folder."""
        folder.write_lines("findings.jsonl", [*self.earlier, *(finding.to_dict() for finding in self.findings)])
        folder.write_json("checks.json", self.checks())
        folder.write_json("history.json", self.history)
        folder.write_json("probes.json", {"episodes": [each.to_dict() for each in (*self.episodes, self.record)]})

    def checks(self) -> dict[str, Any]:
        """{"run": names, "skipped": {name: why}} over all ailments, and "broken", the error that ended the watching."""
        unseen = "nothing in this run shows it" if self.step else "shows only while training"
        skipped = {name: self.skipped.get(name, unseen) for name in AILMENTS if name not in self.ran}
        seconds = {"doctor": round(self.seconds, 2), "proofs": round(self.diagnosis.proof.seconds, 2)}
        checks = {"run": [name for name in AILMENTS if name in self.ran], "skipped": skipped, "seconds": seconds}
        return checks | ({"broken": self.broken} if self.broken else {})

    def __str__(self) -> str:
        return told(self.findings, self.checks(), f" over {self.step} steps" if self.step else "")


def told(findings: list[Finding], checks: dict[str, Any], during: str = "") -> str:
    """Findings and checks as a doctor would say them; no finding is a result too."""
    lines = [str(finding) for finding in findings]
    ran, skipped = checks.get("run") or [], checks.get("skipped") or {}
    lines.append(f"Watched {len(ran)} checks{during}; {len(skipped)} could not run.")
    reasons: dict[str, list[str]] = {}
    for name, why in skipped.items():
        reasons.setdefault(str(why), []).append(AILMENTS[name].title if name in AILMENTS else str(name))
    lines += [f"  {why}: {', '.join(names)}" for why, names in reasons.items()]
    if not findings:
        lines.append("Nothing found.")
    if checks.get("broken"):
        lines.append(f"The doctor stopped watching after an error of its own: {checks['broken']}")
    return "\n".join(lines)
