"""A fourth list of faults to plant, by another hand, in pairs of which chance keeps one for the end.

Written on 20 November 2026, 23:14 to 23:55 UTC, by somebody who had read the table of ailments, the three lists before
this one and the loop of this benchmark, but no rule of the doctor, no test of it and no page of what it finds, save the
titles of this folder's commits. The kinds are what people ask about when a training fails (gradients clipped before
they are unscaled, a sorted file and a small shuffle buffer, a softmax over one score, dropout that is not told of
evaluation), what studies of real faults list (Humbatova et al. 2020, DeepCrime, UMLAUT, DeepLocalize, NeuraLint and
AUTOTRAINER 2021, DeepFD 2022), and ailments of the table in new dress. What each is meant to be, and by what other
names it may rightly go, was settled before any of it was run. Then each was trained without a doctor, seed 0, beside
its healthy twin, in its first family and in some of the others: of 28 pairs drafted, four were left out as the nearest
to kinds already listed, two kinds that did no harm were made sharper, and one is planted in tables alone, for it did
pictures none. What is no loss of score here is a leak, slow loading, or memory that grows.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from benchmarks.doctor import slips
from benchmarks.doctor.controls import Control, warm_up
from benchmarks.doctor.faults import DENSE, FAST, SLOW, Fault, deep, headed, inputs, layers
from benchmarks.doctor.newcomers import TEXTS, built, drawn
from benchmarks.doctor.setups import NUMBER, PICTURE, RECURRENT, TABLE, TRANSFORMER, Parts, Recurrent, Setup, mlp
from benchmarks.doctor.slips import Optimizer, Planting
from benchmarks.doctor.variants import STEEP, learner, rows
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR

CONSTANT = ("disconnected-parameters", "vanishing-gradient", "cannot-fit-one-batch")


def modelled(make: Callable[[], nn.Module]) -> Planting:
    return lambda setup: replace(setup, model=make)


def around(wrap: Callable[[nn.Module], nn.Module]) -> Planting:
    """The family's network inside another."""
    return lambda setup: replace(setup, model=lambda: wrap(setup.model()))


def changed(change: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Planting:
    return lambda setup: replace(setup, change=change)


def scaled(hook: Callable[[list[Tensor]], object] | None) -> Planting:
    """A loss times 65,536 on its way back, and what is done to the gradients before the step."""

    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> Optimizer:
            made = SGD(model.parameters(), 0.1, momentum=0.9)
            if hook is not None:
                made.register_step_pre_hook(lambda *_: hook(list(model.parameters())) and None)
            return made

        return replace(setup, optimizer=optimizer, backward=lambda loss: 65_536 * loss)

    return plant


def clipped_then_unscaled(parameters: list[Tensor]) -> None:
    nn.utils.clip_grad_norm_(parameters, 1.0)
    unscaled(parameters)


def unscaled(parameters: list[Tensor]) -> None:
    for each in parameters:
        if each.grad is not None:
            each.grad /= 65_536


def apart(trunk: float, head: float) -> Planting:
    """The last layer in a group of its own, and each group's rate times its factor."""

    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> Optimizer:
            made = setup.optimizer(model)
            last = list(layers(model)[-1].parameters())
            rate, group = made.param_groups[0]["lr"], made.param_groups[0]
            group["params"] = [each for each in group["params"] if not any(each is other for other in last)]
            group["lr"] = trunk * rate
            made.add_param_group({"params": last, "lr": head * rate})
            return made

        return replace(setup, optimizer=optimizer)

    return plant


def every_step(change: Callable[[nn.Module], None], **options: Any) -> Planting:
    """The change made to the network in front of each step."""

    def each_time(model: nn.Module, optimizer: Optimizer) -> None:
        with torch.no_grad():
            change(model)

    return lambda setup: replace(setup, at=dict.fromkeys(range(setup.steps), each_time), **options)


def clear_the_head(model: nn.Module) -> None:
    for each in layers(model)[-1].parameters():
        each.grad = None


def fade_gradients(model: nn.Module) -> None:
    for each in model.parameters():
        if each.grad is not None:
            each.grad *= 0.95


def once(step: int, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Planting:
    """The change made to one batch; it is told as the onset."""

    def at_step(now: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return change(x, y) if now == step else (x, y)

    return lambda setup: replace(setup, change=at_step, at={step: lambda model, optimizer: None})


def head_lost(setup: Setup) -> Setup:
    """Gone on from a checkpoint that lacked the head, shortly before the end."""

    def lose(model: nn.Module, optimizer: Optimizer) -> None:
        head = layers(model)[-1]
        head.reset_parameters()  # type: ignore[operator]
        for each in head.parameters():
            optimizer.state.pop(each, None)

    return replace(setup, at={setup.steps - 8: lose})


def loaded_again(setup: Setup) -> Setup:
    """The weights of step 10 loaded again and again, for the best checkpoint is never written anew."""
    kept: dict[str, Tensor] = {}

    def save(model: nn.Module, optimizer: Optimizer) -> None:
        kept.update({name: each.clone() for name, each in model.state_dict().items()})

    def load(model: nn.Module, optimizer: Optimizer) -> None:
        model.load_state_dict(kept)

    return replace(setup, at={10: save} | dict.fromkeys(range(56, setup.steps, 46), load))


PAIRS = (
    (
        Fault("answers averaged by id among the inputs", "data-leakage", rows(slips.encoded_answers),
              ("table", "number"), (), False),
        Fault("overlapping windows in both parts", "data-leakage", rows(slips.overlapping), TEXTS, (), False),
    ),
    (
        Fault("the west learned, the east held out", "preprocessing-mismatch", rows(slips.along_the_map),
              ("table", "number"), ("data-not-shuffled", "overfitting"), False),
        Fault("held-out text in capitals", "preprocessing-mismatch", rows(slips.in_capitals), TEXTS, ("overfitting",),
              False),
    ),
    (
        Fault("fours and nines labelled by chance", "label-noise", rows(slips.fours_for_nines, evaluations=25),
              ("picture",), (), False),
        Fault("one of two who labelled said 1 to all", "label-noise", rows(slips.always_one, evaluations=30),
              ("table",), ("class-imbalance",), False),
    ),
    (
        Fault("classes weighed by how often they come", "class-imbalance",
              lambda s: replace(rows(slips.few_of_the_dear)(s), model=lambda: mlp(8, 64, 64, 2), evaluations=30,
                                loss=partial(F.cross_entropy, weight=torch.tensor([0.96, 0.04]))),
              ("table",), ("preprocessing-mismatch",)),
        Fault("five digits in sixty times fewer rows", "class-imbalance", rows(slips.half_the_digits_rare),
              ("picture",), ("preprocessing-mismatch", "overfitting"), False),
    ),
    (
        Fault("rows from west to east", "data-not-shuffled", rows(slips.west_to_east, shuffle=False),
              ("table", "number")),
        Fault("a sorted file through a small buffer", "data-not-shuffled", rows(slips.small_buffer, shuffle=False),
              ("picture", "table")),
    ),
    (
        Fault("mixed rows, the fainter one's label", "label-breaking-augmentation",
              changed(slips.mixed_with_the_fainter),
              ("picture", "table"), ("label-noise", "preprocessing-mismatch"), False),
        Fault("an eighth of the picture enlarged", "label-breaking-augmentation", changed(slips.crops), ("picture",),
              ("preprocessing-mismatch",), False),
    ),
    (
        Fault("the text read from both ends", "cross-sample-leak", modelled(slips.Bothways), ("recurrent",),
              ("data-leakage",), False),
        Fault("a mask of ones and zeros, added", "cross-sample-leak",
              modelled(partial(slips.Masked, slips.ones_and_zeros)),
              ("transformer",), ("data-leakage", "padding-or-mask-fault"), False),
    ),
    (
        Fault("the state left behind at each character", "no-long-range-signal", modelled(slips.Forgetful),
              ("recurrent",), ("underfitting",), False),
        Fault("a mask that shows each its own self", "no-long-range-signal",
              modelled(partial(slips.Masked, slips.itself_alone)),
              ("transformer",), ("padding-or-mask-fault", "underfitting", "representation-collapse"), False),
    ),
    (
        Fault("scores laid out with classes last", "loss-head-mismatch", lambda s: replace(s, loss=slips.torn), TEXTS,
              ("cross-sample-leak", "cannot-fit-one-batch"), False),
        Fault("answers by time and row", "label-noise", changed(lambda step, x, y: (x, y.t().contiguous())), TEXTS,
              ("cannot-fit-one-batch", "preprocessing-mismatch", "loss-head-mismatch"), False),
    ),
    (
        Fault("softmax of a single score", "loss-head-mismatch", headed(lambda: nn.Softmax(1)), ("number",), CONSTANT),
        Fault("layer norm of a single score", "cannot-fit-one-batch", headed(lambda: nn.LayerNorm(1)), ("number",),
              (*CONSTANT, "loss-head-mismatch", "representation-collapse")),
    ),
    (
        Fault("squared error, a softmax sure of one class", "learning-slowdown", slips.sure_of_one,
              ("table", "picture"),
              ("loss-head-mismatch", "bad-initialization", "wrong-initial-loss", "saturated-activations")),
        Fault("a bounded score begun at its top", "learning-slowdown", slips.sure_of_one, ("number",),
              ("saturated-activations", "bad-initialization", "wrong-initial-loss", "vanishing-gradient",
               "loss-head-mismatch")),
    ),
    (
        Fault("24 rectifiers as they are begun", "vanishing-gradient", deep(nn.ReLU, 24), DENSE,
              (*STEEP, "dying-relu", "representation-collapse")),
        Fault("gates begun shut", "bad-initialization", modelled(slips.shut_gates), ("recurrent",),
              ("no-long-range-signal", *STEEP), False),
    ),
    (
        Fault("norms after the sums, no warm-up", "transformer-instability",
              lambda s: learner(lambda m: Adam(m.parameters(), 5e-2))(replace(s, model=slips.NormedAfter)),
              ("transformer",), (*FAST, "plateau", "representation-collapse")),
        Fault("a state that grows with each character", "exploding-gradient", modelled(slips.growing), ("recurrent",),
              ("bad-initialization", "wrong-initial-loss", "learning-rate-too-high", "non-finite-values")),
    ),
    (
        Fault("norms shifted below zero", "dying-relu", slips.shifted_norms, ("picture", "table"),
              ("bad-initialization", "vanishing-gradient", "cannot-fit-one-batch")),
        Fault("rectifiers held at their ceiling", "saturated-activations", slips.at_the_ceiling, ("table", "picture"),
              ("bad-initialization", "dying-relu", "vanishing-gradient", "cannot-fit-one-batch")),
    ),
    (
        Fault("the head a thousand times as fast", "learning-rate-too-high", apart(1.0, 1e3),
              ("table",), (*FAST, "dying-relu", "loss-spike")),
        Fault("a trunk at a ten-thousandth of the rate", "learning-rate-too-low", apart(1e-4, 1.0),
              ("recurrent", "number", "transformer"), (*SLOW, "disconnected-parameters", "underfitting")),
    ),
    (
        Fault("a scaled loss never unscaled", "exploding-gradient", scaled(None), ("table", "picture"),
              (*FAST, "dying-relu", "mixed-precision-underflow")),
        Fault("clipped before unscaling", "learning-rate-too-low", scaled(clipped_then_unscaled),
              ("picture", "table"), (*SLOW, "vanishing-gradient", "mixed-precision-underflow")),
    ),
    (
        Fault("only the head's gradients cleared", "missing-zero-grad", every_step(clear_the_head, zero_grad=False),
              ("table", "picture", "recurrent")),
        Fault("gradients faded, not cleared", "missing-zero-grad", every_step(fade_gradients, zero_grad=False),
              ("picture", "table", "transformer")),
    ),
    (
        Fault("dropout not told of evaluation", "wrong-train-eval-mode", built(slips.AlwaysDropped),
              ("table", "picture"), ("over-regularized",)),
        Fault("noise that never rests", "wrong-train-eval-mode", around(slips.NeverQuiet), ("picture", "number"),
              ("over-regularized", "label-breaking-augmentation"), False),
    ),
    (
        Fault("a first character that sees nothing", "non-finite-values",
              modelled(partial(slips.Masked, slips.nothing_for_the_first)), ("transformer",),
              ("padding-or-mask-fault",), False),
        Fault("roots of rectified values", "non-finite-values", slips.active(slips.Root),
              ("number", "table", "picture"), ("exploding-gradient",), False),
    ),
    (
        Fault("dollars in half precision", "mixed-precision-underflow",
              lambda s: slips.in_half(s, lambda y: (y * 115_000 + 207_000).half(), F.mse_loss), ("number",),
              ("non-finite-values", "targets-out-of-range", "wrong-initial-loss"), False),
        Fault("a guard lost in half precision", "mixed-precision-underflow",
              lambda s: slips.in_half(s, lambda y: y, slips.log_in_half), ("picture",), ("non-finite-values",), False),
    ),
    (
        Fault("one batch ten thousand times too bright", "loss-spike", once(40, lambda x, y: (1e4 * x, y)),
              ("picture", "table"), ("bad-features", "exploding-gradient", "dying-relu", "input-not-normalized")),
        Fault("one batch of answers in cents", "loss-spike", once(40, lambda x, y: (x, 1e5 * y)), ("number",),
              ("targets-out-of-range", "exploding-gradient", "dying-relu")),
    ),
    (
        Fault("sixty rows of text", "overfitting",
              lambda s: replace(rows(lambda x, y, a, b: (x[:60], y[:60], a, b))(s), steps=400, evaluations=20), TEXTS,
              (), False),
        Fault("two hundred columns of noise", "overfitting", slips.columns_of_noise, ("number", "table"), (), False),
    ),
    (
        Fault("gone on without the head", "training-state-lost", head_lost, ("picture", "transformer"),
              ("loss-spike",), False),
        Fault("an early checkpoint again and again", "training-state-lost", loaded_again,
              ("transformer", "recurrent", "picture"), ("loss-spike",), False),
    ),
    (
        Fault("outputs kept by hooks", "memory-leak", slips.remembered_outputs, ("picture",), (), False),
        Fault("pictures decoded at every step", "dataloader-starvation", slips.decoded_anew, ("picture",), (), False),
    ),
)  # fmt: skip
STRANGERS = tuple(fault for pair in PAIRS for fault in pair)
_KEPT = random.Random(2026112023)  # chance says which of each pair is kept
KEPT4 = tuple(pair[_KEPT.randrange(2)] for pair in PAIRS)
OPEN4 = tuple(fault for fault in STRANGERS if fault not in KEPT4)

# Unusual and right, for false alarms.


def tied_small() -> nn.Module:
    model = slips.tied()
    nn.init.normal_(model.embed.weight, std=0.05)
    return model


def unlearned_embedding() -> nn.Module:
    model = Recurrent()
    model.embed.weight.requires_grad_(False)
    return model


def two_layers() -> nn.Module:
    return Recurrent(partial(nn.LSTM, num_layers=2, dropout=0.2))  # type: ignore[arg-type]


def clipped_at_one(model: nn.Module) -> Optimizer:
    made = Adam(model.parameters(), 5e-3)
    made.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(model.parameters(), 1.0) and None)
    return made


def drawn_evenly(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """One to six, and a sampler that draws both classes as often."""
    keep = (y == 0) | (y == 2) & (torch.arange(len(y)) % 6 == 0)
    x, y = x[keep], y[keep] // 2
    picked = torch.multinomial(1 / y.bincount()[y], 4000, replacement=True, generator=drawn(21))
    held = held_y != 1
    return x[picked], y[picked], held_x[held], held_y[held] // 2


def sorted_by_answer(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    order = y.argsort(stable=True)
    return x[order], y[order], held_x, held_y


def noisy_answers(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    return x, y + 0.5 * torch.randn(y.shape, generator=drawn(22)), held_x, held_y


def mixed_a_little(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two pictures mixed, and the label of the one that has four fifths or more."""
    part = 1 - 0.2 * torch.rand(len(x), generator=drawn(step)).view(-1, 1, 1, 1)
    return part * x + (1 - part) * x.roll(1, 0), y


WELL = (
    Control("label smoothing of a tenth, text",
            replace(TRANSFORMER, loss=partial(F.cross_entropy, label_smoothing=0.1))),
    Control("a tied head, begun small", replace(TRANSFORMER, model=tied_small)),
    Control("an embedding that is not to learn", replace(RECURRENT, model=unlearned_embedding)),
    Control("four gradients of 16 pictures", replace(PICTURE, batch=16, accumulate=4)),
    Control("a scaled loss, unscaled", scaled(unscaled)(TABLE)),
    Control("batches of 512, warm-up", replace(
        learner(lambda m: Adam(m.parameters(), 5e-3))(PICTURE), batch=512, steps=120, schedule=warm_up(20))),
    Control("plain steps, restarts", replace(
        learner(lambda m: SGD(m.parameters(), 0.02, momentum=0.9))(PICTURE),
        schedule=lambda o: CosineAnnealingWarmRestarts(o, 50))),
    Control("seven tenths dropped of 512", replace(
        learner(lambda m: Adam(m.parameters(), 2e-3))(TABLE), model=lambda: mlp(8, 512, 512, 3, dropout=0.7))),
    Control("pixels from 0 to 1", inputs(lambda x: x * 0.27 + 0.13)(PICTURE)),
    Control("a sorted file, shuffled", rows(sorted_by_answer)(TABLE)),
    Control("prices with noise of a half", rows(noisy_answers)(NUMBER)),
    Control("eight units for eight numbers", replace(
        learner(lambda m: Adam(m.parameters(), 1e-2))(TABLE), model=lambda: mlp(8, 8, 3))),
    Control("a long end at a hundredth of the rate", replace(
        TABLE, steps=300, schedule=lambda o: LambdaLR(o, lambda step: 0.01 + 0.99 * max(0.0, 1 - step / 180)))),
    Control("two recurrent layers, clipped at 1", replace(RECURRENT, model=two_layers, optimizer=clipped_at_one)),
    Control("six to one, drawn evenly", replace(rows(drawn_evenly)(TABLE), model=lambda: mlp(8, 64, 64, 2))),
    Control("pictures mixed by a fifth at most", replace(PICTURE, change=mixed_a_little)),
)  # fmt: skip
