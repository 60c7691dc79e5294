"""A second list of faults to plant, kinds that the first list lacks, in pairs: one open, one kept for the end.

Written before any rule was changed for it. Every second fault as listed is kept apart: of two alike, the latter.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from benchmarks.doctor.faults import (
    DENSE,
    FAST,
    SLOW,
    Fault,
    deep,
    headed,
    inputs,
    layers,
    normed,
    targets,
    weights,
    wrong_labels,
)
from benchmarks.doctor.setups import FAMILIES, Parts, Recurrent, Setup, cnn, mlp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, MultiStepLR

SIZES = {"table": (8, 3), "number": (8, 1), "picture": (196, 10)}
Optimizer = torch.optim.Optimizer


def learner(make: Callable[[nn.Module], Optimizer]) -> Callable[[Setup], Setup]:
    return lambda setup: replace(setup, optimizer=make)


def rows(change: Callable[[Tensor, Tensor, Tensor, Tensor], Parts], **options: object) -> Callable[[Setup], Setup]:
    """The four parts changed, on copies."""

    def plant(setup: Setup) -> Setup:
        made = replace(setup, data=lambda: change(*(each.clone() for each in setup.data())))
        return replace(made, **options)  # type: ignore[arg-type]

    return plant


def next_class(y: Tensor) -> Tensor:
    """The next class's label on 45 % of the rows of each class."""
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.45
    return torch.where(wrong, (y + 1) % (int(y.max()) + 1), y)


def missing_as_number(x: Tensor) -> Tensor:
    wrong = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.003
    return x.masked_fill(wrong, -999.0)


def near_copies(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A third of the held-out rows are training rows with a little noise."""
    held_x[:300] = x[:300] + 1e-3 * torch.randn(x[:300].shape, generator=torch.Generator().manual_seed(3))
    held_y[:300] = y[:300]
    return x, y, held_x, held_y


def bent_answer(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A feature that is a bent form of the number asked for, with a little noise."""
    for part, answer in ((x, y), (held_x, held_y)):
        noise = 0.01 * torch.randn(len(part), generator=torch.Generator().manual_seed(4))
        part[:, 0] = torch.tanh(answer.flatten()) + noise
    return x, y, held_x, held_y


def class_blocks(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Runs of 48 rows of one class, the runs in any order."""
    order = y.argsort(stable=True)
    blocks = list(order.split(48))
    turns = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(5))
    order = torch.cat([blocks[int(turn)] for turn in turns])
    return x[order], y[order], held_x, held_y


def by_price(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    order = y.flatten().argsort()
    return x[order], y[order], held_x, held_y


def other_columns(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    return x, y, held_x.flip(1), held_y


def few(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    return x[:100], y[:100], held_x, held_y


def rare_rows(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Two classes, the middle third of the prices against a fiftieth of the upper one."""

    def thin(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        keep = (y == 1) | (y == 2) & (torch.arange(len(y)) % step == 0)
        return x[keep], (y[keep] == 2).long()

    return *thin(x, y, 40), *thin(held_x, held_y, 12)


def thinned_digits(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Every digit but 1 thinned to a few rows."""
    keep = (y == 1) | (torch.arange(len(y)) % 25 == 0)
    return x[keep], y[keep], held_x, held_y


class Cut(nn.Module):
    """A network whose features are detached in front of its head. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        parts = list(model.children())
        self.trunk, self.head = nn.Sequential(*parts[:-1]), parts[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).detach())


def new_head(setup: Setup) -> Setup:
    """The last layer replaced after the optimizer was made."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)
        head = layers(model)[-1]
        fresh = copy.deepcopy(head)
        for module in model.modules():
            for name, child in list(module.named_children()):
                if child is head:
                    setattr(module, name, fresh)
        return made

    return replace(setup, optimizer=optimizer)


def zeroed_before_step(setup: Setup) -> Setup:
    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)

        def zero(*_: object) -> None:
            for each in model.parameters():
                if each.grad is not None:
                    each.grad.zero_()

        made.register_step_pre_hook(zero)
        return made

    return replace(setup, optimizer=optimizer)


def clipped_to(norm: float) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> Optimizer:
            made = SGD(model.parameters(), 0.1, momentum=0.9)
            made.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(model.parameters(), norm) and None)
            return made

        return replace(setup, optimizer=optimizer)

    return plant


def zero_at_times(setup: Setup) -> Setup:
    """Gradients set to zero every tenth step only."""
    at = {step: lambda model, optimizer: optimizer.zero_grad() for step in range(0, setup.steps, 10)}
    return replace(setup, zero_grad=False, at=at)


def left_in_eval(setup: Setup) -> Setup:
    """Evaluation mode from step 40 on, as after an evaluation that does not turn it back."""
    at = {step: lambda model, optimizer: model.eval() for step in range(40, setup.steps)}
    return replace(normed(setup), at=at)


def one_long_step(setup: Setup) -> Setup:
    """One step of a thousand times the rate, a third of the way in."""

    def lengthen(factor: float) -> Callable[[nn.Module, Optimizer], None]:
        def change(model: nn.Module, optimizer: Optimizer) -> None:
            for group in optimizer.param_groups:
                group["lr"] *= factor

        return change

    return replace(setup, at={setup.steps // 3: lengthen(1e3), setup.steps // 3 + 1: lengthen(1e-3)})


def halved(setup: Setup) -> Setup:
    """Weights and inputs in float16 under Adam."""
    return replace(
        setup,
        model=lambda: setup.model().half(),
        change=lambda step, x, y: (x.half(), y),
        loss=lambda output, target: F.cross_entropy(output.float(), target),
        optimizer=lambda model: Adam(model.parameters(), 1e-3),
        evaluations=0,
    )


def kept_losses(setup: Setup) -> Setup:
    kept: list[Tensor] = []

    def backward(loss: Tensor) -> Tensor:
        kept.append(loss + 0 * loss)
        return loss

    return replace(setup, backward=backward, batch=128, steps=300)


def ever_slower(setup: Setup) -> Setup:
    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        time.sleep(4e-4 * step)
        return x, y

    return replace(setup, change=change, steps=150)


def second_bias(model: nn.Module) -> None:
    layers(model)[1].bias.fill_(-40.0)


def of_width(width: int) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        first, last = SIZES[setup.family]
        return replace(
            setup, model=lambda: nn.Sequential(nn.Flatten(), *mlp(first, width, width, last)), steps=2 * setup.steps
        )

    return plant


def drowned(setup: Setup) -> Setup:
    """Dropout of 0.95 on the features in front of the head."""
    first, last = SIZES[setup.family]
    return replace(
        setup,
        model=lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(first, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.95),
            nn.Linear(64, last),
        ),
    )  # fmt: skip


def dropped_in_evaluation(setup: Setup) -> Setup:
    model = (lambda: mlp(8, 64, 64, 3, dropout=0.5)) if setup.family == "table" else (lambda: cnn(dropout=0.5))
    return replace(setup, model=model, validate_in_train_mode=True)


def relative_error(output: Tensor, target: Tensor) -> Tensor:
    """Squared error of logarithms, which outputs below zero have none of."""
    return F.mse_loss(output.log(), (target + 3).log())


def one_hot_scores(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(output, F.one_hot(target, output.shape[1]).float())


def sums(setup: Setup) -> Setup:
    """The loss summed over the batch, at the rate of a mean."""
    whole = FAMILIES[setup.family].loss
    return replace(
        setup,
        loss=lambda o, t: whole(o, t, reduction="sum"),  # type: ignore[call-arg]
        optimizer=lambda model: SGD(model.parameters(), 0.1, momentum=0.9),
    )


TIRED = ("over-regularized", "representation-collapse", "plateau", "underfitting")
STEEP = ("vanishing-gradient", "saturated-activations", "bad-initialization", "cannot-fit-one-batch", "plateau")

VARIANTS = (
    Fault("three labels in ten drawn anew", "label-noise", wrong_labels(0.3), ("picture",), ("overfitting",), False),
    Fault("six labels in ten drawn anew", "label-noise", wrong_labels(0.6), ("picture",), ("overfitting",), False),
    Fault("the next class's label on 45 %", "label-noise", targets(next_class), ("picture",), ("overfitting",), False),
    Fault(
        "labels a row off", "label-noise", lambda s: replace(targets(lambda y: y.roll(1, 0))(s), evaluations=30),
        ("table", "picture"), ("overfitting", "underfitting", "plateau"), False,
    ),
    Fault(
        "rate times 0.9 each step", "learning-rate-too-low",
        lambda s: replace(s, schedule=lambda o: ExponentialLR(o, 0.9)), ("table", "number", "transformer"), SLOW,
    ),
    Fault(
        "rate down to 0 in 15 steps", "learning-rate-too-low",
        lambda s: replace(s, schedule=lambda o: LambdaLR(o, lambda step: max(0.0, 1 - step / 15))),
        ("picture", "table", "recurrent"), SLOW,
    ),
    Fault(
        "milestones counted in steps", "learning-rate-too-low",
        lambda s: replace(s, schedule=lambda o: MultiStepLR(o, [3, 6, 9])), ("picture", "number", "recurrent"), SLOW,
    ),
    Fault(
        "warm-up of 50,000 steps", "learning-rate-too-low",
        lambda s: replace(s, schedule=lambda o: LambdaLR(o, lambda step: (step + 1) / 50_000)),
        ("transformer", "picture", "table"), SLOW,
    ),
    Fault(
        "Adam, squares of the weights by 0.5", "over-regularized",
        learner(lambda m: Adam(m.parameters(), 3e-3, weight_decay=0.5)), ("picture", "number"), TIRED,
    ),
    Fault(
        "momentum and decay of 0.2", "over-regularized",
        learner(lambda m: SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=0.2)), ("picture", "table"), TIRED,
    ),
    Fault(
        "AdamW, decay of 30", "over-regularized", learner(lambda m: AdamW(m.parameters(), 3e-3, weight_decay=30.0)),
        ("number", "table"), TIRED,
    ),
    Fault("dropout of 0.95 in front of the head", "over-regularized", drowned, ("picture", "table"), ("underfitting",)),
    Fault("ten sigmoids", "vanishing-gradient", deep(nn.Sigmoid, 10), ("number", "picture"), STEEP),
    Fault("twenty tanhs", "vanishing-gradient", deep(nn.Tanh, 20), ("number", "table"), STEEP),
    Fault(
        "constant columns", "bad-features", inputs(lambda x: torch.cat([x[:, :5], x[:, 5:] * 0 + 1], 1)),
        ("table", "number"), (), False,
    ),
    Fault("missing values as -999", "bad-features", inputs(missing_as_number), ("number", "table"),
          ("input-not-normalized",)),
    Fault("pixels of 0 to 255", "input-not-normalized", inputs(lambda x: (x * 0.27 + 0.13) * 255), ("picture",)),
    Fault(
        "one column in the thousands", "input-not-normalized",
        inputs(lambda x: torch.cat([x[:, :1] * 4000 + 9000, x[:, 1:]], 1)), ("table", "number"),
    ),
    Fault("loss summed over the batch", "learning-rate-too-high", sums, ("table", "number", "picture"),
          (*FAST, "wrong-initial-loss", "dying-relu")),
    Fault("squared error of scores and one-hot rows", "loss-head-mismatch",
          lambda s: replace(s, loss=one_hot_scores), ("picture", "table")),
    Fault("tanh for any number", "loss-head-mismatch", headed(nn.Tanh), ("number",)),
    Fault("nll of probabilities", "loss-head-mismatch",
          lambda s: replace(headed(lambda: nn.Softmax(1))(s), loss=F.nll_loss), ("transformer", "table")),
    Fault("text asked for itself", "data-leakage", rows(lambda x, y, a, b: (x, x.clone(), a, a.clone())),
          ("recurrent", "transformer"), ("targets-out-of-range", "cross-sample-leak"), False),
    Fault("one label for all rows", "targets-out-of-range", targets(torch.zeros_like), ("table", "picture"),
          ("class-imbalance", "label-noise"), False),
    Fault("near copies in both parts", "data-leakage", rows(near_copies), ("picture", "table"), (), False),
    Fault("a bent answer among the inputs", "data-leakage", rows(bent_answer), ("number",), (), False),
    Fault("runs of one class", "data-not-shuffled", rows(class_blocks, shuffle=False), ("picture", "table")),
    Fault("rows by price", "data-not-shuffled", rows(by_price, shuffle=False), ("number",)),
    Fault("left in eval mode", "wrong-train-eval-mode", left_in_eval, ("picture", "table")),
    Fault("dropout while judging", "wrong-train-eval-mode", dropped_in_evaluation, ("table", "picture")),
    Fault("a head newer than its optimizer", "disconnected-parameters", new_head, DENSE),
    Fault("features cut off from the head", "disconnected-parameters",
          lambda s: replace(s, model=lambda: Cut(s.model())), ("picture", "number", "table"), ("underfitting",), False),
    Fault("gradients cleared every tenth step", "missing-zero-grad", zero_at_times, ("picture", "table", "recurrent")),
    Fault("gradients cleared before the step", "missing-zero-grad", zeroed_before_step, ("table", "picture"),
          ("disconnected-parameters", *SLOW), False),
    Fault("gradients clipped at 0.0001", "learning-rate-too-low", clipped_to(1e-4), ("table", "picture"),
          (*SLOW, "vanishing-gradient")),
    Fault("momentum of 0.999", "learning-rate-too-high", learner(lambda m: SGD(m.parameters(), 0.1, momentum=0.999)),
          ("table", "picture"), (*FAST, "dying-relu")),
    Fault("second layer dead", "dying-relu", weights(second_bias), ("picture", "table")),
    Fault("one step a thousand times too long", "loss-spike", one_long_step, ("picture", "table"),
          (*FAST, "dying-relu")),
    Fault("recurrent weights times 12", "exploding-gradient",
          lambda s: replace(s, model=lambda: _recurrent(12.0)), ("recurrent",),
          ("saturated-activations", "bad-initialization", "learning-rate-too-high")),
    Fault("float16 under Adam", "mixed-precision-underflow", halved, ("table", "picture"), ("non-finite-values",)),
    Fault("batch norm on two rows", "batch-too-small", lambda s: replace(normed(s), batch=2), ("picture", "table"),
          (), False),
    Fault("a row a batch", "batch-too-small", lambda s: replace(s, batch=1, steps=400), ("table",), FAST, False),
    Fault("held-out pictures of 0 to 1", "preprocessing-mismatch",
          rows(lambda x, y, a, b: (x, y, a * 0.27 + 0.13, b)), ("picture",), (), False),
    Fault("held-out columns turned round", "preprocessing-mismatch", rows(other_columns), ("table", "number"), (),
          False),
    Fault("losses kept with their graphs", "memory-leak", kept_losses, ("picture",), (), False),
    Fault("ever slower steps", "step-time-cliff", ever_slower, ("table",), ("dataloader-starvation",), False),
    Fault("a hundred rows", "overfitting", rows(few, steps=600, evaluations=20, batch=32), ("table", "picture"),
          (), False),
    Fault("a unit wide", "underfitting", of_width(1), ("picture",), ("cannot-fit-one-batch", "dying-relu"), False),
    Fault("a rare class missed", "class-imbalance",
          lambda s: replace(rows(rare_rows)(s), model=lambda: mlp(8, 64, 64, 2), evaluations=30), ("table",), (),
          False),
    Fault("nearly all rows of one digit", "class-imbalance",
          lambda s: replace(rows(thinned_digits)(s), steps=60, evaluations=10), ("picture",), ("overfitting",), False),
    Fault("logarithm of numbers below 0", "non-finite-values", lambda s: replace(s, loss=relative_error), ("number",),
          ("loss-head-mismatch",), False),
    Fault("a column divided by nothing", "bad-features",
          inputs(lambda x: torch.cat([x[:, :7], x[:, 7:] / 0], 1)), ("number", "table"), ("non-finite-values",)),
)  # fmt: skip


def _recurrent(factor: float) -> nn.Module:
    model = Recurrent(nn.RNN)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "recurrent.weight_hh" in name:
                each.mul_(factor)
    return model


KEPT2 = VARIANTS[1::2]
OPEN2 = VARIANTS[::2]
