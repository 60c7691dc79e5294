"""Faults to plant: each the change of a healthy setup, the ailment it is, and what else it may rightly be called."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from benchmarks.doctor.setups import FAMILIES, Parts, Setup, Transformer, cnn, mlp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam


@dataclass(frozen=True)
class Fault:
    """A planted fault; `families` it is planted in, `curable` where something in place can cure it."""

    name: str
    ailment: str
    plant: Callable[[Setup], Setup]
    families: tuple[str, ...]
    also: tuple[str, ...] = ()
    curable: bool = True


ALL = ("table", "number", "picture", "recurrent", "transformer")
DENSE = ("table", "number", "picture")
CLASSES = ("table", "picture", "recurrent", "transformer")


def rate(factor: float) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> torch.optim.Optimizer:
            made = setup.optimizer(model)
            for group in made.param_groups:
                group["lr"] *= factor
            return made

        return replace(setup, optimizer=optimizer)

    return plant


def inputs(change: Callable[[Tensor], Tensor], held_too: bool = True) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        def data() -> Parts:
            x, y, held_x, held_y = setup.data()
            return change(x), y, change(held_x) if held_too else held_x, held_y

        return replace(setup, data=data)

    return plant


def targets(change: Callable[[Tensor], Tensor], held_too: bool = False) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        def data() -> Parts:
            x, y, held_x, held_y = setup.data()
            return x, change(y), held_x, change(held_y) if held_too else held_y

        return replace(setup, data=data)

    return plant


def weights(change: Callable[[nn.Module], Any]) -> Callable[[Setup], Setup]:
    """The change made to a fresh model."""

    def plant(setup: Setup) -> Setup:
        def model() -> nn.Module:
            made = setup.model()
            with torch.no_grad():
                change(made)
            return made

        return replace(setup, model=model)

    return plant


def layers(model: nn.Module) -> list[nn.Module]:
    return [each for each in model.modules() if isinstance(each, nn.Linear | nn.Conv2d)]


class Headed(nn.Module):
    """A model with a function after its output. x: as the model -> as the model"""

    def __init__(self, model: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.model(x))


class Mixing(nn.Module):
    """A model whose rows leak into each other. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return self.model(x - 0.5 * x.mean(0, keepdim=True))
        output = self.model(x)
        return output + 0.3 * output.roll(1, 0)


class Blind(nn.Module):
    """A model that is given nothing but zeros by a slip of the pen. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(0 * x)


class Idle(nn.Module):
    """A model beside a layer that nothing calls. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.idle = model, nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def headed(head: Callable[[], nn.Module]) -> Callable[[Setup], Setup]:
    return lambda setup: replace(setup, model=lambda: Headed(setup.model(), head()))


def poison(setup: Setup) -> Setup:
    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if step % 50 == 30:
            x = x.clone()
            x[3] = float("nan")
        return x, y

    return replace(setup, change=change)


def deep(activation: Callable[[], nn.Module], count: int) -> Callable[[Setup], Setup]:
    widths = {"table": (8, 3), "number": (8, 1), "picture": (196, 10)}

    def plant(setup: Setup) -> Setup:
        first, last = widths[setup.family]
        made = lambda: nn.Sequential(nn.Flatten(), *mlp(first, *[32] * count, last, activation=activation))  # noqa: E731
        return replace(setup, model=made)

    return plant


def sorted_rows(setup: Setup) -> Setup:
    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        order = y.argsort()
        return x[order], y[order], held_x, held_y

    return replace(setup, data=data, shuffle=False)


def shared_rows(setup: Setup) -> Setup:
    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        return x, y, torch.cat([x[:300], held_x[300:]]), torch.cat([y[:300], held_y[300:]])

    return replace(setup, data=data)


def few_rows(setup: Setup) -> Setup:
    """A twentieth of the rows, a quarter of the labels wrong, five times the steps."""

    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        x, y = x[:160], y[:160].clone()
        generator = torch.Generator().manual_seed(0)
        wrong = torch.randperm(160, generator=generator)[:40]
        y[wrong] = y[wrong[torch.randperm(40, generator=generator)]]
        return x, y, held_x, held_y

    return replace(setup, data=data, steps=2 * setup.steps, batch=32, evaluations=20)


def wrong_labels(share: float) -> Callable[[Setup], Setup]:
    def change(y: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        y = y.clone()
        rows = torch.randperm(len(y), generator=generator)[: int(share * len(y))]
        y[rows] = y[rows[torch.randperm(len(rows), generator=generator)]]
        return y

    return lambda setup: replace(targets(change)(setup), steps=setup.steps + 200, evaluations=30)


def telling(setup: Setup) -> Setup:
    """A feature that is the answer and a little noise, in place of the last one."""

    def data() -> Parts:
        x, y, held_x, held_y = (each.clone() for each in setup.data())
        for rows, answer in ((x, y), (held_x, held_y)):
            rows[:, -1] = answer.float().flatten() + 0.01 * torch.randn(
                len(rows), generator=torch.Generator().manual_seed(0)
            )
        return x, y, held_x, held_y

    return replace(setup, data=data)


def kept_memory(setup: Setup) -> Setup:
    kept: list[Tensor] = []

    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        kept.append(torch.ones(96 * 1024))
        return x, y

    return replace(setup, change=change, steps=300)


def slept(seconds: float, after: int) -> Callable[[Setup], Setup]:
    def plant(setup: Setup) -> Setup:
        def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            if step >= after:
                time.sleep(seconds)
            return x, y

        return replace(setup, change=change, steps=150)

    return plant


def shock(setup: Setup) -> Setup:
    """One update thrown far off at two fifths of the way."""

    def throw(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(each.std(correction=0) * 2.5 * torch.randn(each.shape, generator=generator))

    return replace(setup, at={int(0.5 * setup.steps): throw})


def forgotten(setup: Setup) -> Setup:
    return replace(
        setup, optimizer=lambda m: Adam(m.parameters(), 2e-3), at={setup.steps // 2: lambda m, o: o.state.clear()}
    )


def frozen_part(setup: Setup) -> Setup:
    """Only the last layer's weights reach the optimizer."""

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        whole = setup.optimizer(model)
        kept = list(model.parameters())[-2:]
        made = type(whole)(kept, lr=whole.param_groups[0]["lr"])
        return made

    return replace(setup, optimizer=optimizer)


def other_model(setup: Setup) -> Setup:
    return replace(setup, optimizer=lambda m: setup.optimizer(copy.deepcopy(m)))


def scale(model: nn.Module, factor: float) -> None:
    for each in layers(model):
        each.weight.mul_(factor)


def equal(model: nn.Module) -> None:
    for each in layers(model):
        nn.init.constant_(each.weight, 0.03)
        nn.init.zeros_(each.bias)


def shift_first(model: nn.Module, shift: float, both: bool = False) -> None:
    first = layers(model)[0]
    first.bias.fill_(shift)
    if both:
        first.bias[::2] *= -1


def normed(setup: Setup) -> Setup:
    """The same family with batch norm."""
    model = (lambda: mlp(8, 64, 64, 3, norm=True)) if setup.family == "table" else (lambda: cnn(norm=True))
    return replace(setup, model=model)


def saturated(setup: Setup) -> Setup:
    """Tanh for ReLU, and first biases that hold it at its ends."""
    model = (lambda: mlp(8, 64, 64, 3, activation=nn.Tanh)) if setup.family == "table" else (lambda: cnn(nn.Tanh))
    return weights(lambda made: shift_first(made, 9.0, True))(replace(setup, model=model))


def held_out_unscaled(setup: Setup) -> Setup:
    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        return x, y, held_x * 50 + 100, held_y

    return replace(setup, data=data)


def one_hot_error(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(output, F.one_hot(target, output.shape[1]).float())


def sure(setup: Setup) -> Setup:
    """Squared error behind sigmoids that start sure of every class."""

    def model() -> nn.Module:
        made = setup.model()
        with torch.no_grad():
            layers(made)[-1].bias.fill_(7.0)
        return Headed(made, nn.Sigmoid())

    return replace(setup, model=model, loss=one_hot_error)


SLOW = ("learning-rate-too-low", "plateau", "update-ratio-off")
FAST = ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "non-finite-values", "update-ratio-off")

FAULTS = (
    Fault("raw units", "input-not-normalized", inputs(lambda x: x * 120 + 300), DENSE),
    Fault(
        "tiny units",
        "input-not-normalized",
        inputs(lambda x: x * 1e-3),
        ("table", "picture"),
        ("learning-rate-too-low",),
    ),
    Fault("uneven units", "input-not-normalized", inputs(lambda x: x * torch.logspace(-1, 3, 8)), ("table", "number")),
    Fault(
        "missing values passed on",
        "bad-features",
        inputs(lambda x: x.masked_fill(x > 2.2, float("nan"))),
        ("table", "number"),
        ("non-finite-values",),
    ),
    Fault(
        "blank inputs",
        "bad-features",
        inputs(lambda x: torch.zeros_like(x)),
        DENSE,
        ("cannot-fit-one-batch",),
        curable=False,
    ),
    Fault("rows in both parts", "data-leakage", shared_rows, DENSE, curable=False),
    Fault("answer among the inputs", "data-leakage", telling, ("table", "number"), curable=False),
    Fault(
        "all labels shuffled",
        "label-noise",
        wrong_labels(1.0),
        ("table", "picture"),
        ("overfitting", "underfitting", "plateau"),
        curable=False,
    ),
    Fault("labels shuffled by half", "label-noise", wrong_labels(0.5), ("picture",), ("overfitting",), curable=False),
    Fault(
        "all targets ignored",
        "targets-out-of-range",
        targets(lambda y: torch.full_like(y, -100)),
        CLASSES,
        ("non-finite-values",),
        curable=False,
    ),
    Fault("half the classes gone", "targets-out-of-range", targets(lambda y: y // 3), ("picture",), curable=False),
    Fault("held-out rows unscaled", "preprocessing-mismatch", held_out_unscaled, DENSE, curable=False),
    Fault("sorted rows", "data-not-shuffled", sorted_rows, ("table", "picture"), curable=False),
    Fault("softmax twice", "loss-head-mismatch", headed(lambda: nn.Softmax(1)), CLASSES),
    Fault("sigmoid before cross-entropy", "loss-head-mismatch", headed(nn.Sigmoid), CLASSES),
    Fault("nll of scores", "loss-head-mismatch", lambda s: replace(s, loss=F.nll_loss), CLASSES),
    Fault("relu for any number", "loss-head-mismatch", headed(nn.ReLU), ("number",)),
    Fault("broadcast targets", "loss-head-mismatch", targets(lambda y: y[:, 0], held_too=True), ("number",)),
    Fault("sure sigmoids, squared error", "learning-slowdown", sure, ("table", "picture"), ("loss-head-mismatch",)),
    Fault(
        "negated loss", "gradient-ascent", lambda s: replace(s, loss=lambda o, t: -FAMILIES[s.family].loss(o, t)), ALL
    ),
    Fault("negated backward", "gradient-ascent", lambda s: replace(s, backward=lambda loss: -loss), ALL),
    Fault(
        "targets in raw units",
        "wrong-initial-loss",
        targets(lambda y: y * 90 + 300, held_too=True),
        ("number",),
        curable=False,
    ),
    Fault(
        "weights 20 times too large",
        "bad-initialization",
        weights(lambda m: scale(m, 20.0)),
        DENSE,
        ("wrong-initial-loss",),
    ),
    Fault("weights 200 times too small", "bad-initialization", weights(lambda m: scale(m, 0.005)), DENSE),
    Fault("equal weights", "bad-initialization", weights(equal), DENSE),
    Fault(
        "an idle layer",
        "disconnected-parameters",
        lambda s: replace(s, model=lambda: Idle(s.model())),
        ALL,
        curable=False,
    ),
    Fault("optimizer of a part", "disconnected-parameters", frozen_part, ALL),
    Fault("optimizer of another copy", "disconnected-parameters", other_model, ALL),
    Fault("gradients pile up", "missing-zero-grad", lambda s: replace(s, zero_grad=False), ALL),
    Fault(
        "trained in eval mode",
        "wrong-train-eval-mode",
        lambda s: replace(normed(s), eval_mode=True),
        ("table", "picture"),
    ),
    Fault(
        "validated in train mode",
        "wrong-train-eval-mode",
        lambda s: replace(normed(s), validate_in_train_mode=True),
        ("table", "picture"),
    ),
    Fault("rows mixed", "cross-sample-leak", lambda s: replace(s, model=lambda: Mixing(s.model())), ALL, curable=False),
    Fault(
        "no causal mask",
        "cross-sample-leak",
        lambda s: replace(s, model=lambda: Transformer(causal=False)),
        ("transformer",),
        curable=False,
    ),
    Fault(
        "inputs zeroed in the model",
        "cannot-fit-one-batch",
        lambda s: replace(s, model=lambda: Blind(s.model())),
        ("table", "picture"),
        ("disconnected-parameters", "dying-relu"),
        curable=False,
    ),
    Fault("twelve sigmoids", "vanishing-gradient", deep(nn.Sigmoid, 12), DENSE, ("cannot-fit-one-batch",)),
    Fault(
        "sixteen tanhs, small weights",
        "vanishing-gradient",
        lambda s: weights(lambda m: scale(m, 0.5))(deep(nn.Tanh, 16)(s)),
        DENSE,
        ("bad-initialization", "cannot-fit-one-batch"),
    ),
    Fault(
        "weights that explode by depth",
        "exploding-gradient",
        lambda s: weights(lambda m: scale(m, 4.0))(deep(nn.ReLU, 10)(s)),
        DENSE,
        ("bad-initialization", "wrong-initial-loss", "non-finite-values", "learning-rate-too-high"),
    ),
    Fault("dead from the start", "dying-relu", weights(lambda m: shift_first(m, -30.0)), ("table", "picture")),
    Fault("saturated tanh", "saturated-activations", saturated, ("table", "picture"), ("vanishing-gradient",)),
    Fault("rows of NaN now and then", "non-finite-values", poison, DENSE, ("bad-features",)),
    Fault("rate 100 times too high", "learning-rate-too-high", rate(100.0), ALL, (*FAST, "dying-relu")),
    Fault("rate 1000 times too high", "learning-rate-too-high", rate(1000.0), ALL, (*FAST, "dying-relu")),
    Fault("rate 1000 times too low", "learning-rate-too-low", rate(1e-3), ALL, SLOW),
    Fault("rate of zero", "learning-rate-too-low", rate(0.0), ALL, ("disconnected-parameters",)),
    Fault(
        "schedule over at once",
        "learning-rate-too-low",
        lambda s: replace(s, schedule=lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.05)),
        ALL,
        SLOW,
    ),
    Fault(
        "weights thrown off",
        "loss-spike",
        shock,
        ("picture", "transformer"),
        ("learning-rate-too-high", "exploding-gradient"),
    ),
    Fault("few and noisy rows", "overfitting", few_rows, ("table", "picture"), ("label-noise",), curable=False),
    Fault(
        "decay of 0.5",
        "over-regularized",
        lambda s: replace(s, optimizer=lambda m: SGD(m.parameters(), 0.1, weight_decay=0.5)),
        ("table", "picture"),
        ("representation-collapse", "plateau", "underfitting"),
    ),
    Fault(
        "batch norm on four rows",
        "batch-too-small",
        lambda s: replace(normed(s), batch=4),
        ("table", "picture"),
        curable=False,
    ),
    Fault(
        "two units",
        "underfitting",
        lambda s: replace(s, model=lambda: nn.Sequential(nn.Flatten(), *mlp(196, 2, 10)), steps=400),
        ("picture",),
        ("cannot-fit-one-batch",),
        curable=False,
    ),
    Fault("optimizer forgotten", "training-state-lost", forgotten, ("picture", "transformer"), curable=False),
    Fault(
        "attention without bound",
        "transformer-instability",
        lambda s: replace(s, model=lambda: Transformer(scale=300.0)),
        ("transformer",),
        ("saturated-activations",),
        curable=False,
    ),
    Fault("slow loader", "dataloader-starvation", slept(0.02, 0), ("table", "recurrent"), curable=False),
    Fault(
        "loader slows down",
        "step-time-cliff",
        slept(0.06, 110),
        ("table", "picture"),
        ("dataloader-starvation",),
        curable=False,
    ),
    Fault("kept graphs", "memory-leak", kept_memory, ("table", "picture"), curable=False),
)
# Every third fault, as listed, is kept for the end: thresholds are fitted on the others alone.
KEPT = tuple(fault for place, fault in enumerate(FAULTS) if place % 3 == 2)
OPEN = tuple(fault for fault in FAULTS if fault not in KEPT)
