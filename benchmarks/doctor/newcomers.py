"""A third list of faults to plant: slips of people who are new to it, in pairs of which chance keeps one for the end.

Written before any rule was changed for it and before any of it was run; see the page for dates.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from benchmarks.doctor.controls import Control
from benchmarks.doctor.faults import CLASSES, DENSE, FAST, SLOW, Fault, headed, inputs, layers, normed, targets
from benchmarks.doctor.setups import (
    FAMILIES,
    NUMBER,
    PICTURE,
    TABLE,
    TRANSFORMER,
    Parts,
    Recurrent,
    Setup,
    Transformer,
    mlp,
)
from benchmarks.doctor.variants import SIZES, TIRED, learner, rare_rows, rows
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

Optimizer = torch.optim.Optimizer
TEXTS = ("recurrent", "transformer")


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Rows and labels.


def augmented_first(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A third of the held-out pictures are training pictures moved by a pixel: augmented first, split afterwards."""
    held_x[:300], held_y[:300] = x[:300].roll(1, 3), y[:300]
    return x, y, held_x, held_y


def numbered(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The first column is each row's number in a file that was sorted by the answer."""
    for part, answer in ((x, y), (held_x, held_y)):
        place = (answer.flatten().double() + 1e-6 * torch.rand(len(part), generator=drawn(1))).argsort().argsort()
        part[:, 0] = place.float() / len(part) * 3.4 - 1.7
    return x, y, held_x, held_y


def other_codes(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out characters coded by a vocabulary of their own."""
    return x, y, torch.randperm(65, generator=drawn(2))[held_x], held_y


def turned(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out pictures with width taken for height."""
    return x, y, held_x.transpose(2, 3).contiguous(), held_y


def other_labels(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out labels numbered in the order in which they come up there."""
    return x, y, held_x, (int(held_y.max()) + 1 - held_y) % (int(held_y.max()) + 1)


def never_drawn(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A sampler whose weights are the labels: class 0 has none."""
    weights = y.float()
    picked = torch.multinomial(weights, len(y), replacement=True, generator=drawn(3))
    return x[picked], y[picked], held_x, held_y


def mistyped(y: Tensor) -> Tensor:
    """Three zeros too many in a few answers of a hundred."""
    wrong = torch.rand(len(y), generator=drawn(4)) < 0.02
    return torch.where(wrong[:, None], 1000.0 * (y.abs() + 1), y)


def seconds(x: Tensor) -> Tensor:
    """The first column as seconds since 1970."""
    return torch.cat([x[:, :1] * 3e7 + 1.6e9, x[:, 1:]], 1)


def unknown(x: Tensor) -> Tensor:
    """All but a few kinds of character read as one that stands for the unknown."""
    return x.where(x % 13 == 0, torch.zeros_like(x))


def padded(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Rows of 8 characters, all filled up to 32."""
    for part in (x, y, held_x, held_y):
        part[:, 8:] = 0
    return x, y, held_x, held_y


def first_batch(setup: Setup) -> Setup:
    """`next(iter(loader))` inside the loop: the same rows at every step."""
    return replace(
        rows(lambda x, y, a, b: (x[: setup.batch], y[: setup.batch], a, b))(setup), shuffle=False, evaluations=20
    )


def spun(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Digits turned by quarters and mirrored as chance has it."""
    chance = random.Random(step)
    whole = torch.stack([torch.rot90(each, chance.randrange(4), (1, 2)) for each in x])
    flip = torch.tensor([chance.random() < 0.5 for _ in x])
    return torch.where(flip[:, None, None, None], whole.flip(3), whole), y


def snowed(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x + 4 * torch.randn(x.shape, generator=drawn(step)), y


# Networks.


class Reshaped(nn.Module):
    """A view where a transpose was meant, and back: rows are torn and shared out. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.flatten(1).t().reshape(x.shape))


class BackToFront(Transformer):
    """Attention that sees what is to come and not what was. x: (batch, time) -> (batch, classes, time)"""

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.place
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu()
        for place in range(2):
            query, key, value = self.mixes[place](self.norms[2 * place](x)).chunk(3, -1)
            query, key, value = (each.unflatten(-1, (4, -1)).transpose(1, 2) for each in (query, key, value))
            x = x + F.scaled_dot_product_attention(query, key, value, later).transpose(1, 2).flatten(2)
            x = x + self.forwards[place](self.norms[2 * place + 1](x))
        return self.head(self.norms[4](x)).transpose(1, 2)


class Listed(nn.Module):
    """Layers in a plain Python list, which no optimizer hears of. x: (batch, ...) -> (batch, outputs)"""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.hidden = [nn.Linear(first, 64), nn.Linear(64, 64)]
        self.head = nn.Linear(64, last)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for each in self.hidden:
            x = torch.relu(each(x))
        return self.head(x)


def timed_by_rows() -> nn.Module:
    """A recurrent layer told that time comes first, where rows do."""
    model = Recurrent()
    model.recurrent.batch_first = False
    return model


def built(make: Callable[[int, int], nn.Module]) -> Callable[[Setup], Setup]:
    """Another network of the family's sizes."""
    return lambda setup: replace(setup, model=lambda: make(*SIZES[setup.family]))


def begun(begin: Callable[[Tensor], object]) -> Callable[[Setup], Setup]:
    """Every matrix of a fresh network begun otherwise."""

    def plant(setup: Setup) -> Setup:
        def model() -> nn.Module:
            made = setup.model()
            for each in layers(made):
                begin(each.weight)
                nn.init.zeros_(each.bias)
            return made

        return replace(setup, model=model)

    return plant


def drowned_everywhere(first: int, last: int) -> nn.Module:
    """Dropout of 0.8 after each layer, the last included."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(first, 64), nn.ReLU(), nn.Dropout(0.8), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.8),
        nn.Linear(64, last), nn.Dropout(0.8),
    )  # fmt: skip


def straight(first: int, last: int) -> nn.Module:
    """Layers with nothing between them."""
    return nn.Sequential(nn.Flatten(), nn.Linear(first, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, last))


def remembering(momentum: float) -> Callable[[Setup], Setup]:
    """Batch norm of this momentum."""

    def plant(setup: Setup) -> Setup:
        whole = normed(setup)

        def model() -> nn.Module:
            made = whole.model()
            for each in made.modules():
                if isinstance(each, nn.modules.batchnorm._BatchNorm):
                    each.momentum = momentum
            return made

        return replace(whole, model=model)

    return plant


# Losses, optimizers, loops.


def one_hot_logits(output: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(output, F.one_hot(target, output.shape[1]).float())


def over_rows(output: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities over the batch, not over the classes."""
    return F.nll_loss(F.log_softmax(output, 0), target)


def by_all_rows(setup: Setup) -> Setup:
    """A sum over the batch would be divided by its rows; here a mean is divided by the rows of the whole set."""
    whole = FAMILIES[setup.family].loss
    return replace(plain(0.1)(setup), loss=lambda output, target: whole(output, target) / 4000)


def plain(rate: float, momentum: float = 0.9) -> Callable[[Setup], Setup]:
    return learner(lambda model: SGD(model.parameters(), rate, momentum=momentum))


def impatient(optimizer: Optimizer) -> ReduceLROnPlateau:
    """Half the rate whenever a batch is worse than the best one."""
    return ReduceLROnPlateau(optimizer, factor=0.5, patience=0)


def undivided(count: int) -> Callable[[Setup], Setup]:
    return lambda s: replace(plain(0.1)(s), accumulate=count, backward=lambda loss: count * loss)


def anew_each_step(setup: Setup) -> Setup:
    at = {step: lambda model, optimizer: optimizer.state.clear() for step in range(1, setup.steps)}
    return replace(learner(lambda m: Adam(m.parameters(), 5e-3))(setup), at=at)


def anew_each_epoch(setup: Setup) -> Setup:
    """The network made again inside the loop over epochs."""

    def again(model: nn.Module, optimizer: Optimizer) -> None:
        for each in model.modules():
            if hasattr(each, "reset_parameters"):
                each.reset_parameters()

    return replace(setup, at={step: again for step in range(60, setup.steps, 60)})


def penalized(setup: Setup) -> Setup:
    """The sign of each weight times 0.05 added to its gradient: a penalty on absolute values."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)

        def pull(made: Optimizer, *_: object) -> None:
            for group in made.param_groups:
                for each in group["params"]:
                    if each.grad is not None:
                        each.grad.add_(0.05 * each.detach().sign())

        made.register_step_pre_hook(pull)
        return made

    return replace(setup, optimizer=optimizer)


LEAK = ("cannot-fit-one-batch", "label-noise")

PAIRS = (
    (
        Fault("augmented before the split", "data-leakage", rows(augmented_first), ("picture",), (), False),
        Fault("the row's number in a sorted file", "data-leakage", rows(numbered), ("table", "number"), (), False),
    ),
    (
        Fault("held-out characters coded otherwise", "preprocessing-mismatch", rows(other_codes), TEXTS,
              ("overfitting",), False),
        Fault("held-out pictures on their side", "preprocessing-mismatch", rows(turned), ("picture",),
              ("overfitting",), False),
    ),
    (
        Fault("class 0 ignored by the loss", "targets-out-of-range",
              lambda s: replace(s, loss=lambda o, t: F.cross_entropy(o, t, ignore_index=0)), ("table", "picture"),
              (), False),
        Fault("held-out labels in another order", "preprocessing-mismatch", rows(other_labels), ("table", "picture"),
              ("label-noise", "targets-out-of-range", "overfitting"), False),
    ),
    (
        Fault("a class never drawn", "targets-out-of-range", rows(never_drawn), ("table", "picture"),
              ("class-imbalance", "preprocessing-mismatch", "overfitting"), False),
        Fault("three zeros too many", "targets-out-of-range", targets(mistyped), ("number",),
              ("wrong-initial-loss", "bad-features", "loss-spike", "exploding-gradient")),
    ),
    (
        Fault("pixels divided by 255 twice", "input-not-normalized",
              inputs(lambda x: ((x * 0.27 + 0.13) / 255 - 0.13) / 0.27), ("picture",)),
        Fault("seconds since 1970", "input-not-normalized", inputs(seconds), ("table", "number")),
    ),
    (
        Fault("nearly all characters unknown", "bad-features", inputs(unknown), TEXTS,
              ("class-imbalance", "padding-or-mask-fault", "underfitting"), False),
        Fault("text padded to four times its length", "padding-or-mask-fault", rows(padded), TEXTS,
              ("class-imbalance", "targets-out-of-range"), False),
    ),
    (
        Fault("sigmoid before bce with logits", "loss-head-mismatch",
              lambda s: replace(headed(nn.Sigmoid)(s), loss=one_hot_logits), ("table", "picture")),
        Fault("relu on the scores", "loss-head-mismatch", headed(nn.ReLU), CLASSES, ("dying-relu",)),
    ),
    (
        Fault("softmax over the batch", "cross-sample-leak", lambda s: replace(s, loss=over_rows),
              ("table", "picture"), ("loss-head-mismatch",), False),
        Fault("a view where a transpose was meant", "cross-sample-leak",
              lambda s: replace(s, model=lambda: Reshaped(s.model())), ("table", "picture"), LEAK, False),
    ),
    (
        Fault("rows taken for time", "cross-sample-leak", lambda s: replace(s, model=timed_by_rows), ("recurrent",),
              LEAK, False),
        Fault("the mask the wrong way round", "cross-sample-leak", lambda s: replace(s, model=BackToFront),
              ("transformer",), LEAK, False),
    ),
    (
        Fault("Adam at 1", "learning-rate-too-high", learner(lambda m: Adam(m.parameters(), 1.0)),
              ("table", "picture", "recurrent"), (*FAST, "dying-relu")),
        Fault("rate times 1.05 each step", "learning-rate-too-high",
              lambda s: replace(s, schedule=lambda o: LambdaLR(o, lambda step: 1.05**step)),
              ("table", "number", "transformer"), (*FAST, "dying-relu", "loss-spike")),
    ),
    (
        Fault("plain steps at Adam's rate", "learning-rate-too-low", plain(1e-4, 0.0), ("picture", "number", "table"),
              SLOW),
        Fault("a mean divided by all rows", "learning-rate-too-low", by_all_rows, ("table", "picture"),
              (*SLOW, "vanishing-gradient")),
    ),
    (
        Fault("rate halved at each worse batch", "learning-rate-too-low", lambda s: replace(s, schedule=impatient),
              ("table", "recurrent", "picture"), SLOW),
        Fault("Adam's epsilon of 10", "learning-rate-too-low", learner(lambda m: Adam(m.parameters(), 2e-3, eps=10.0)),
              ("number", "picture", "transformer"), SLOW),
    ),
    (
        Fault("Adam's betas the wrong way round", "learning-rate-too-high",
              learner(lambda m: Adam(m.parameters(), 5e-3, betas=(0.999, 0.9))), ("picture", "table", "recurrent"),
              (*FAST, *SLOW, "dying-relu")),
        Fault("sixteen gradients added, none divided", "learning-rate-too-high", undivided(16), ("table", "picture"),
              (*FAST, "dying-relu")),
    ),
    (
        Fault("all weights zero", "bad-initialization", begun(nn.init.zeros_), DENSE,
              ("disconnected-parameters", "dying-relu", "cannot-fit-one-batch")),
        Fault("weights from a standard normal", "bad-initialization", begun(nn.init.normal_), DENSE,
              ("wrong-initial-loss", *FAST)),
    ),
    (
        Fault("layers in a plain list", "disconnected-parameters", built(Listed), DENSE, ("underfitting",)),
        Fault("nothing between the layers", "underfitting", built(straight), ("picture", "number"),
              ("cannot-fit-one-batch",)),
    ),
    (
        Fault("Adam made anew at each step", "training-state-lost", anew_each_step, ("picture", "transformer"),
              FAST, False),
        Fault("the network made anew each epoch", "training-state-lost", anew_each_epoch, ("table", "picture"),
              ("loss-spike", "learning-rate-too-high"), False),
    ),
    (
        Fault("dropout of 0.8 everywhere", "over-regularized", built(drowned_everywhere), ("table", "picture"), TIRED),
        Fault("a penalty on absolute weights", "over-regularized", penalized, ("table", "picture"), TIRED, False),
    ),
    (
        Fault("batch norm that keeps nothing", "wrong-train-eval-mode", remembering(0.0), ("table", "picture"),
              ("preprocessing-mismatch", "overfitting")),
        Fault("the first batch again and again", "overfitting", first_batch, ("table", "picture"),
              ("data-not-shuffled", "data-leakage"), False),
    ),
    (
        Fault("digits turned and mirrored", "label-breaking-augmentation", lambda s: replace(s, change=spun),
              ("picture",), ("preprocessing-mismatch",), False),
        Fault("noise four times the picture", "label-breaking-augmentation", lambda s: replace(s, change=snowed),
              ("picture",), ("preprocessing-mismatch",), False),
    ),
)  # fmt: skip
NEWCOMERS = tuple(fault for pair in PAIRS for fault in pair)
_KEPT = random.Random(20261120)  # chance says which of each pair is kept
KEPT3 = tuple(pair[_KEPT.randrange(2)] for pair in PAIRS)
OPEN3 = tuple(fault for fault in NEWCOMERS if fault not in KEPT3)

# The same things done right, for false alarms.
RIGHT = (
    Control("bce with logits", replace(TABLE, loss=one_hot_logits)),
    Control("plain steps at their own rate", plain(0.1)(PICTURE)),
    Control("sixteen gradients, divided", replace(plain(0.1)(TABLE), accumulate=16, steps=120)),
    Control("normal weights of He's size", begun(nn.init.kaiming_normal_)(NUMBER)),
    Control("layers in a sequence",
            built(lambda first, last: nn.Sequential(nn.Flatten(), *mlp(first, 64, 64, last)))(PICTURE)),
    Control("batch norm that remembers long", remembering(0.05)(PICTURE)),
    Control("rate halved after 40 worse batches", replace(TABLE, schedule=lambda o: ReduceLROnPlateau(o, patience=40))),
    Control("betas of 0.9 and 0.95", learner(lambda m: Adam(m.parameters(), 2e-3, betas=(0.9, 0.95)))(TRANSFORMER)),
    Control("a rare class, weighed", replace(
        rows(rare_rows)(TABLE), model=lambda: mlp(8, 64, 64, 2),
        loss=lambda o, t: F.cross_entropy(o, t, weight=torch.tensor([1.0, 40.0])), evaluations=30)),
    Control("noise of a fifth of the picture", replace(
        PICTURE, change=lambda step, x, y: (x + 0.2 * torch.randn(x.shape, generator=drawn(step)), y))),
)  # fmt: skip
