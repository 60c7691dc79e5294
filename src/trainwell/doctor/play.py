"""What two players of a loop of one's own give each other, pass by pass: noise, rows, what is wanted of answers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainwell.doctor.answers_pulled import SCORES, SQUARES, SQUASHED, Pull, pull_of
from trainwell.doctor.players import sample_distance, sample_spread, told_pairs
from trainwell.doctor.probe import marked

if TYPE_CHECKING:
    from trainwell.doctor.doctor import Doctor
    from trainwell.doctor.patient import Patient
    from trainwell.doctor.series import Record

BYTES = 2**25  # of real rows, and as much of noise, that are kept to take rounds again
HEARD, SHOWN = 4, 128  # batches, and rows of them, that are looked at
REAL, MADE, OWN = "real", "made", "own"  # rows that a discriminator answers to: the last in the generator's own turn
SHORTFALL = 0.01  # of a loss told, which those that the answers show may leave unexplained


@dataclass
class Play:
    """What was seen of two players: the parts, what each is given, and what the loop's losses want of the answers."""

    saturates: dict[str, bool] = field(default_factory=dict)  # by the part that answers
    steps: dict[str, float] = field(default_factory=dict)  # that each player has taken
    noise: dict[str, float] = field(default_factory=dict)  # the deviation of what a part is given; 0 where rows agree
    mended: frozenset[str] = frozenset()  # what cures have mended of it, as far as they are in force
    rounds: dict[str, float] = field(default_factory=dict)  # how many turns a player takes where one is enough
    asked: dict[str, int] = field(default_factory=dict)  # turns that such a player has asked for
    maker: str = ""  # the parts, by name in the model
    judge: str = ""
    order: list[str] = field(default_factory=list)  # players as they have stepped since the last round
    round: list[str] = field(default_factory=list)  # the same of the last whole round
    real: deque[Tensor] = field(default_factory=deque)
    noises: deque[Tensor] = field(default_factory=deque)
    made: deque[Tensor] = field(default_factory=lambda: deque(maxlen=HEARD))
    live: Tensor | None = None  # what was made last, with its graph
    answers: dict[str, Tensor] = field(default_factory=dict)  # the latest, by the kind of row
    pulls: dict[str, Pull] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # kinds of rows since the last round
    unlike: str = ""  # why this is no plain game of two, where it is none
    explained: bool = False  # whether the pulls alone make the discriminator's loss
    making: str = ""  # the generator's player
    kind: str = ""  # of the rows that the discriminator was given last
    again: bool = False  # whether rounds are being taken again
    hooked: bool = False  # whether its answers' gradients pass a hook that may mend them
    units: tuple[float, float, float] = (0.0, 1.0, 1.0)  # lowest and width of real rows, and of made ones

    def in_units(self, rows: Tensor) -> Tensor:
        """Rows that are far wider than made ones in their unit; others as they are."""
        lowest, width, made = self.units
        if "units" not in self.mended or float(rows.detach().amax() - rows.detach().amin()) < 2 * made:
            return rows
        return (rows - lowest) * (made / width) - (made - 1)

    @property
    def bytes(self) -> int:
        """What the batches that are kept take."""
        return sum(each.nbytes for rows in (self.real, self.noises, self.made) for each in rows)

    def may_step(self, player: str) -> bool:
        """Whether a player takes this turn, which it does not where it has several in a round and others have one."""
        self.order.append(player)
        if "turns" not in self.mended or self.rounds.get(player, 1.0) <= 1:
            return True
        self.asked[player] = self.asked.get(player, 0) + 1
        return self.asked[player] % int(self.rounds[player]) == 0

    def next_player(self) -> str:
        """Whose step comes next, if this round goes as the last one."""
        return self.round[len(self.order)] if len(self.order) < len(self.round) else ""

    def end_round(self) -> None:
        """The loop has told of a step: its turns are over."""
        judged = self.seen & {REAL, MADE}
        if judged and judged != {REAL, MADE}:
            self.unlike = self.unlike or "the discriminator's real and made rows are not told apart"
        self.round, self.order, self.seen = self.order, [], set()

    def keep(self, rows: deque[Tensor], each: Tensor, everything: bool) -> None:
        """One more batch of rows or noise; everything: as many as there is room for."""
        room = max(HEARD, BYTES // max(1, each.nbytes)) if everything else HEARD
        rows.append(each)
        while len(rows) > room:
            rows.popleft()


def listen(doctor: "Doctor") -> None:
    """Hear each part of two players: what it is given, and at the doctor's looks the gradient at its answers."""
    patient = doctor.patient
    if patient is None or len(patient.players) != 2:
        return
    play = patient.play = Play()

    def see(name: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not doctor.inside and not doctor.broken and not doctor.closed and module.training:
                doctor.guarded(lambda: _note(doctor, play, name, inputs, output), None, doctor.weighs)

        return look

    for name, part in patient.bare.named_children():
        doctor.handles.append(part.register_forward_hook(marked(see(name))))


def _note(doctor: "Doctor", play: Play, name: str, inputs: Any, output: Any) -> None:
    shown = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
    if shown is None or not isinstance(output, Tensor) or not shown.is_floating_point() or len(shown) < 2:
        return
    everything, looks = doctor.mode == "treat", doctor._looks_at(doctor.step + 1)
    if output.numel() != len(shown):
        if not shown.requires_grad:
            _made(play, name, shown, output, everything, looks)
            play.unlike = play.unlike or ("a part is given more than noise" if len(inputs) > 1 else "")
    elif torch.is_grad_enabled():
        play.unlike = play.unlike or ("several parts answer with one number" if play.judge not in ("", name) else "")
        play.judge = name
        play.kind = kind = _kind(play, shown)
        play.seen.add(kind)
        if kind == REAL:
            play.keep(play.real, shown.detach(), everything)
        if looks and output.requires_grad and kind:
            _hear_pull(doctor, play, kind, output)
        play.unlike = play.unlike or ("a part is given more than rows" if len(inputs) > 1 else "")


def _made(play: Play, name: str, noise: Tensor, rows: Tensor, everything: bool, looks: bool) -> None:
    play.live = rows if "cut" in play.mended else None  # a graph that is held takes memory
    play.made.append(rows.detach())
    if torch.is_grad_enabled():
        play.unlike = play.unlike or ("several parts make rows" if play.maker not in ("", name) else "")
        play.maker = name
        play.keep(play.noises, noise.detach(), everything)
    if looks and torch.is_grad_enabled():
        flat = noise.detach().flatten(1).float()
        play.noise[name] = float(flat.std()) if float(flat.var(0).sum()) > 0 else 0.0


def _kind(play: Play, rows: Tensor) -> str:
    """Of which kind the rows are that a discriminator is given; "" where they are neither real nor made ones."""
    plain, known = rows.detach(), [each for each in play.made if each.shape == rows.shape]
    made = any(each.data_ptr() == plain.data_ptr() for each in known)
    if not made and known and plain.is_cpu:  # which on a device would make the processor wait
        made = torch.equal(known[-1][:2], plain[:2])
    if made:
        # In its own turn a generator may be cut off, so that no gradient reaches its rows.
        cut = MADE in play.seen and play.next_player() == play.making != ""
        return OWN if rows.requires_grad or cut else MADE
    if rows.requires_grad:  # what lies between both kinds, for a penalty on the slope there
        play.unlike = play.unlike or "the discriminator is asked for its slope"
        return ""
    return REAL


def _hear_pull(doctor: "Doctor", play: Play, kind: str, output: Tensor) -> None:
    answers = output.detach()

    def read(gradient: Tensor) -> None:  # in the midst of the loop's own backward
        play.answers[kind] = answers
        if kind in play.pulls and play.mended:
            return  # what the loop wants stays what it was, while the answers move to where it shows less
        found = pull_of(answers, gradient)
        if found is not None:
            play.pulls[kind] = found
            if kind == OWN:
                play.saturates[play.judge] = fades(play)

    def hook(gradient: Tensor) -> None:
        doctor.guarded(lambda: read(gradient))

    output.register_hook(hook)


def fades(play: Play) -> bool:
    """Whether the pull at a discriminator's answers to made rows fades the surer it is that they are made."""
    own = play.pulls.get(OWN)
    return own is not None and own.form != SQUARES and own.weight < 0 and own.wanted < 0.5


def turned(play: Play) -> bool:
    """Whether a generator learns to have its rows answered as the discriminator learns to answer made ones."""
    own, made, real = (play.pulls.get(each) for each in (OWN, MADE, REAL))
    if own is None or made is None or real is None or own.weight < 0:
        return False
    return abs(own.wanted - made.wanted) < 0.25 * abs(real.wanted - made.wanted)


def mended_pull(play: Play, kind: str) -> Pull | None:
    """What a loss wants of answers, as cures have mended it; None where that is not known."""
    pull, real = play.pulls.get(kind), play.pulls.get(REAL)
    if pull is None:
        return None
    if pull.form == SQUASHED and "scores" in play.mended:
        pull = replace(pull, form=SCORES)
    if kind == OWN and (("loss" in play.mended and fades(play)) or ("pull" in play.mended and turned(play))):
        whole = pull.form == SQUARES and real is not None
        pull = replace(pull, weight=abs(pull.weight), wanted=real.wanted if real is not None and whole else 1.0)
    return pull


def hear(record: "Record", step: int, patient: "Patient", losses: Any) -> None:
    """Write down what the rows made of late are like beside the real ones of late, and what losses want of both."""
    play = patient.play
    if play is None or play.unlike or not play.real or not play.made:
        return
    real, made = torch.cat(list(play.real)[-HEARD:])[:SHOWN], torch.cat(list(play.made))[-SHOWN:]
    if real.shape[1:] != made.shape[1:] or len(made) < 16 or not bool(torch.isfinite(made).all()):
        return
    record.add(step, "heard distance", "", sample_distance(made, real))
    record.add(step, "heard spread", "", sample_spread(made, real))
    if {REAL, MADE} <= play.answers.keys():
        record.add(step, "heard apart", "", told_pairs(play.answers[REAL], play.answers[MADE]))
    known = {each: play.pulls[each].value(play.answers[each]) for each in (REAL, MADE) if each in play.pulls}
    told = losses.get(judging_player(patient)) if isinstance(losses, dict) else None
    if len(known) == 2 and isinstance(told, Tensor):
        off = abs(float(told.detach()) - sum(known.values()))
        play.explained = off <= SHORTFALL * max(abs(float(told.detach())), 1e-3)


def judging_player(patient: "Patient") -> str:
    """The player whose weights are the part that answers; "" where none is known."""
    return _player_of(patient, patient.play.judge if patient.play is not None else "")


def making_player(patient: "Patient") -> str:
    """The player whose weights are the part that makes rows of noise; "" where none is known."""
    return _player_of(patient, patient.play.maker if patient.play is not None else "")


def _player_of(patient: "Patient", part: str) -> str:
    if not part:
        return ""
    own = {id(each) for each in patient.bare.get_submodule(part).parameters()}
    for name, optimizer in patient.optimizers.items():
        if any(id(each) in own for group in optimizer.param_groups for each in group["params"]):
            return name
    return ""
