"""Rows, networks and losses to the same with a slip in each: what the fourth list of faults is made of."""

import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.faults import Headed, layers, normed, one_hot_error
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import DATA, Parts, Recurrent, Setup, Transformer, cnn, mlp
from benchmarks.doctor.variants import SIZES
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

Optimizer = torch.optim.Optimizer
Planting = Callable[[Setup], Setup]

# Rows and labels.


def encoded_answers(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The last column is the mean answer, over both parts, of an id that most rows have to themselves."""
    answers = torch.cat([y, held_y]).flatten().float()
    ids = torch.randint(2 * len(answers), answers.shape, generator=drawn(11))
    sums = torch.zeros(2 * len(answers)).index_add(0, ids, answers)
    means = (sums / ids.bincount(minlength=len(sums)).clamp(min=1))[ids]
    x[:, -1], held_x[:, -1] = means[: len(y)], means[len(y) :]
    return x, y, held_x, held_y


def overlapping(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Windows of 32 characters, a new one every 8, dealt to both parts by chance."""
    raw = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:200_000]
    kinds = sorted(set(raw))
    codes = torch.tensor([kinds.index(letter) for letter in raw[:40_000]])
    starts = 8 * torch.randperm(4500, generator=drawn(12))
    windows = codes[starts[:, None] + torch.arange(33)]
    return windows[:4000, :-1], windows[:4000, 1:], windows[4000:, :-1], windows[4000:, 1:]


def along_the_map(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The west to learn from, the east held out."""
    x, y = torch.cat([x, held_x]), torch.cat([y, held_y])
    order = x[:, 0].argsort()
    return x[order[:4000]], y[order[:4000]], x[order[-900:]], y[order[-900:]]


def in_capitals(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out text in capitals."""
    raw = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:200_000]
    kinds = sorted(set(raw))
    upper = torch.tensor([kinds.index(kind.upper()) if kind.upper() in kinds else place
                          for place, kind in enumerate(kinds)])  # fmt: skip
    return x, y, upper[held_x], upper[held_y]


def fours_for_nines(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Whoever labelled them could not tell 4 from 9."""
    for part, seed in ((y, 13), (held_y, 14)):
        either = (part == 4) | (part == 9)
        part[either] = torch.where(torch.rand(int(either.sum()), generator=drawn(seed)) < 0.5, 4, 9)
    return x, y, held_x, held_y


def always_one(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """One of two people who labelled the rows said 1 to whatever came."""
    for part, seed in ((y, 15), (held_y, 16)):
        part[torch.rand(len(part), generator=drawn(seed)) < 0.55] = 1
    return x, y, held_x, held_y


def few_of_the_dear(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Two classes of neighbours, 25 to 1 among the rows to learn from, even among those held out."""
    keep = (y == 1) | (y == 2) & (torch.arange(len(y)) % 25 == 0)
    held = held_y > 0
    return x[keep], y[keep] - 1, held_x[held], held_y[held] - 1


def half_the_digits_rare(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    keep = (y < 5) | (torch.arange(len(y)) % 60 == 0)
    return x[keep], y[keep], held_x, held_y


def west_to_east(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    order = x[:, 0].argsort()
    return x[order], y[order], held_x, held_y


def small_buffer(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A file sorted by class, read through a buffer of 200 rows from which chance draws."""
    chance, waiting, order = random.Random(17), [], []
    for row in y.argsort(stable=True).tolist():
        waiting.append(row)
        if len(waiting) == 200:
            order.append(waiting.pop(chance.randrange(200)))
    chance.shuffle(waiting)
    rows = torch.tensor(order + waiting)
    return x[rows], y[rows], held_x, held_y


def mixed_with_the_fainter(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two rows mixed, and the label of the one that has the lesser part."""
    part = 0.5 * torch.rand(len(x), generator=drawn(step)).view(-1, *[1] * (x.dim() - 1))
    return part * x + (1 - part) * x.roll(1, 0), y


def crops(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A square of five pixels from anywhere, enlarged to the whole."""
    chance = random.Random(step)
    parts = []
    for each in x:
        top, left = chance.randrange(10), chance.randrange(10)
        parts.append(each[:, top : top + 5, left : left + 5])
    return F.interpolate(torch.stack(parts), x.shape[2:], mode="bilinear"), y


def columns_of_noise(setup: Setup) -> Setup:
    """Two hundred columns of noise beside the eight, and 300 rows."""
    first, last = SIZES[setup.family]

    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        noise = torch.randn(len(x) + len(held_x), 200, generator=drawn(18))
        wide, held = torch.cat([x, noise[: len(x)]], 1), torch.cat([held_x, noise[len(x) :]], 1)
        return wide[:300], y[:300], held, held_y

    return replace(setup, data=data, model=lambda: mlp(first + 200, 64, 64, last), steps=400, evaluations=20)


# Networks.


class Bothways(Recurrent):
    """A recurrent layer that reads from both ends. x: (batch, time) -> (batch, classes, time)"""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(24, 48, batch_first=True, bidirectional=True)
        self.head = nn.Linear(96, 65)


class Forgetful(Recurrent):
    """Called anew for each character, its state left behind. x: (batch, time) -> (batch, classes, time)"""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, 1)).view(*x.shape, 65).transpose(1, 2)


class Masked(Transformer):
    """Attention with a mask of one's own. x: (batch, time) -> (batch, classes, time)"""

    def __init__(self, mask: Callable[[int], Tensor]) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.place
        for place in range(2):
            query, key, value = self.mixes[place](self.norms[2 * place](x)).chunk(3, -1)
            query, key, value = (each.unflatten(-1, (4, -1)).transpose(1, 2) for each in (query, key, value))
            scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5 + self.mask(x.shape[1])
            x = x + (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
            x = x + self.forwards[place](self.norms[2 * place + 1](x))
        return self.head(self.norms[4](x)).transpose(1, 2)


def ones_and_zeros(time: int) -> Tensor:
    """What may be seen as 1 and what may not as 0, where it is added."""
    return torch.ones(time, time).tril()


def nothing_for_the_first(time: int) -> Tensor:
    """Each sees those before it and not itself, so that the first sees nothing."""
    return torch.zeros(time, time).masked_fill(torch.ones(time, time).triu().bool(), float("-inf"))


def itself_alone(time: int) -> Tensor:
    return torch.zeros(time, time).masked_fill(~torch.eye(time).bool(), float("-inf"))


class NormedAfter(nn.Module):
    """Two rounds of attention, each normed after its sum. x: (batch, time) -> (batch, classes, time)"""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(65, width), nn.Parameter(0.02 * torch.randn(32, width))
        self.rounds = nn.ModuleList(
            [nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True) for _ in range(2)]
        )
        self.head = nn.Linear(width, 65)

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = self.embed(x) + self.place
        for each in self.rounds:
            x = each(x, src_mask=later)
        return self.head(x).transpose(1, 2)


def growing() -> nn.Module:
    """A recurrent layer of rectifiers whose state grows by two fifths at each character."""
    model = Recurrent(lambda *sizes, **rest: nn.RNN(*sizes, nonlinearity="relu", **rest))  # type: ignore[arg-type]
    with torch.no_grad():
        model.recurrent.weight_hh_l0.copy_(1.4 * torch.eye(48))
    return model


def shut_gates() -> nn.Module:
    """Gates begun so far below zero that nothing gets in and nothing stays."""
    model = Recurrent()
    with torch.no_grad():
        model.recurrent.bias_ih_l0[:96] = -9.0
    return model


def tied() -> nn.Module:
    """One matrix for the embedding and the head, begun as an embedding is: with a deviation of 1."""
    model = Transformer()
    model.head.weight = model.embed.weight
    return model


class Bounded(nn.Module):
    """Scores between -4 and 4. x: (batch, 1) -> (batch, 1)"""

    def forward(self, x: Tensor) -> Tensor:
        return 8 * torch.sigmoid(x) - 4


def sure_of_one(setup: Setup) -> Setup:
    """Squared error behind a softmax that starts sure of class 0, or behind a sigmoid sure of the highest price."""
    number = setup.family == "number"

    def model() -> nn.Module:
        made = setup.model()
        with torch.no_grad():
            layers(made)[-1].bias[:1] = 9.0
        return Headed(made, Bounded() if number else nn.Softmax(1))

    return replace(setup, model=model) if number else replace(setup, model=model, loss=one_hot_error)


class Root(nn.Module):
    """The square root of what is above zero, chosen after it was taken of all. x: any -> the same shape"""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x.sqrt(), torch.zeros_like(x))


class AlwaysDropped(nn.Module):
    """Dropout by a function that is not told of evaluation. x: (batch, ...) -> (batch, outputs)"""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(first, 64), nn.Linear(64, 64), nn.Linear(64, last)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(torch.relu(self.first(x.flatten(1))), 0.6)
        return self.head(F.dropout(torch.relu(self.second(x)), 0.6))


class NeverQuiet(nn.Module):
    """Noise on what goes in, in evaluation as well. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + 1.5 * torch.randn_like(x))


def active(activation: Callable[[], nn.Module]) -> Planting:
    """The family's network with another activation."""

    def plant(setup: Setup) -> Setup:
        if setup.family == "picture":
            return replace(setup, model=lambda: cnn(activation))
        first, last = SIZES[setup.family]
        return replace(setup, model=lambda: mlp(first, 64, 64, last, activation=activation))

    return plant


def at_the_ceiling(setup: Setup) -> Setup:
    """Rectifiers that end at 6, and first biases far above."""
    whole = active(nn.ReLU6)(setup)

    def model() -> nn.Module:
        made = whole.model()
        with torch.no_grad():
            layers(made)[0].bias.fill_(40.0)
        return made

    return replace(whole, model=model)


def shifted_norms(setup: Setup) -> Setup:
    """Batch norms whose shifts put nearly everything below zero."""
    whole = normed(setup)

    def model() -> nn.Module:
        made = whole.model()
        with torch.no_grad():
            for each in made.modules():
                if isinstance(each, nn.modules.batchnorm._BatchNorm):
                    each.bias.fill_(-7.0)
        return made

    return replace(whole, model=model)


def remembered_outputs(setup: Setup) -> Setup:
    """Hooks that keep every output of every convolution."""

    def model() -> nn.Module:
        made, kept = cnn(), []
        for each in made:
            if isinstance(each, nn.Conv2d):
                each.register_forward_hook(lambda module, given, output: kept.append(output.detach().clone()))
        return made

    return replace(setup, model=model, steps=300)


# Losses and loaders.


def torn(output: Tensor, target: Tensor) -> Tensor:
    """Scores of (batch, classes, time) laid out as if the classes came last."""
    return F.cross_entropy(output.reshape(-1, output.shape[1]), target.reshape(-1))


def log_in_half(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy by hand, with a guard that half precision rounds to nothing."""
    chances = output.softmax(1)
    return -(F.one_hot(target, output.shape[1]) * (chances + 1e-8).log()).sum(1).mean()


def in_half(setup: Setup, change: Callable[[Tensor], Tensor], loss: Any) -> Setup:
    """Weights, inputs and, where they are numbers, answers in half precision."""

    def data() -> Parts:
        x, y, held_x, held_y = setup.data()
        return x.half(), change(y), held_x.half(), change(held_y)

    return replace(
        setup, data=data, loss=loss, model=lambda: setup.model().half(),
        optimizer=lambda model: SGD(model.parameters(), 0.1, momentum=0.9),
    )  # fmt: skip


def decoded_anew(setup: Setup) -> Setup:
    """Each picture of each batch enlarged, packed and unpacked before it is used."""

    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for each in x:
            whole = Image.fromarray((each[0].clamp(-1, 3).add(1) * 60).to(torch.uint8).numpy()).resize((48, 48))
            packed = io.BytesIO()
            whole.save(packed, "PNG")
            np.asarray(Image.open(packed).resize((14, 14)))
        return x, y

    return replace(setup, change=change, steps=150)
