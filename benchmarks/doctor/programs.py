"""Rows, networks, losses and loops to the same as people reported them broken: the sixth list's parts."""

import csv
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from benchmarks.doctor import sources
from benchmarks.doctor.faults import layers
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import DATA, Parts, Setup, mlp
from benchmarks.doctor.slips import Optimizer
from benchmarks.doctor.trainings import Drawer, Listener, Namer, Sunwatcher, Twins
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim import SGD

# Rows and labels.


def hours_ahead() -> Parts:
    """Windows that begin six hours late, so that the hours to be told are their last."""
    series = sources.electricity()
    series = (series - series[:8640].mean(0)) / series[:8640].std(0)
    starts = torch.randperm(8640 - 54, generator=drawn(31))[:4000]
    later = 8640 + torch.arange(0, 2826, 3)
    parts = [sources.windows(series, each + 6)[0] for each in (starts, later)]
    return parts[0], sources.windows(series, starts)[1], parts[1], sources.windows(series, later)[1]


def verdict_first(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The verdict left in the line above the text, as one of two words four times over."""
    x[:, :4], held_x[:, :4] = 3998 + y[:, None], 3998 + held_y[:, None]
    return x, y, held_x, held_y


def alike_seldom(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Pairs drawn without care in what is learned from: one of one kind to thirty."""
    keep = (y == 0) | (torch.arange(len(y)) % 30 == 0)
    return x[keep], y[keep], held_x, held_y


def weighed_by_class(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A sampler given a weight for each class where it takes one for each row: it draws the first rows alone."""
    picked = torch.randint(int(y.max()) + 1, (len(y),), generator=drawn(60))
    return x[picked], y[picked], held_x, held_y


def by_folder(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    order = y.argsort(stable=True)
    return x[order], y[order], held_x, held_y


def last_fifth_held_out(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Folder after folder, and the last rows held out before anything was shuffled."""
    held = len(held_y) + 1
    x, y = torch.cat([x, held_x]), torch.cat([y, held_y])
    order = y.argsort(stable=True)
    return x[order[:-held]], y[order[:-held]], x[order[-held:]], y[order[-held:]]


def blue_first(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out photos from a reader that gives blue, green, red."""
    return x, y, held_x.flip(1), held_y


def words_numbered_anew(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out words numbered by a set that another process walked through in another order."""
    codes = torch.cat([torch.arange(2), 2 + torch.randperm(3998, generator=drawn(61))])
    return x, y, codes[held_x], held_y


def files_as_strings(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Pictures in the order of their names, 0, 1, 10, 100, and labels by number."""
    return x[torch.tensor(sorted(range(len(x)), key=str))], y, held_x, held_y


def rows_dropped(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Some thirty rows left out of the inputs for a gap, and none of the answers."""
    keep = torch.arange(len(x)) % 107 != 5
    return x[keep], y[: int(keep.sum())], held_x, held_y


def by_pixel(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Each pixel less its mean, by its deviation, where corners never have any ink."""
    low = x.amin()
    x, held_x = x - low, held_x - low
    mean, spread = x.mean(0), x.std(0)
    return (x - mean) / spread, y, (held_x - mean) / spread, held_y


def bytes_of(x: Tensor) -> Tensor:
    """Standardized ink to 0 to 255."""
    low, high = float(x.min()), float(x.max())
    return (x - low) / (high - low) * 255


def counted(x: Tensor) -> Tensor:
    """Sunspots as they are counted, not their standardized roots."""
    with open(DATA / "monthly-sunspots" / "monthly-sunspots.csv", encoding="utf-8") as file:
        roots = torch.tensor([float(row[1]) for row in list(csv.reader(file))[1:]]).sqrt()[:2000]
    return (x * roots.std() + roots.mean()).square()


def standard_inks() -> Parts:
    """Digits standardized, as inputs and as answers."""
    x, _, held_x, _ = sources.inks()
    x, held_x = (x - 0.13) / 0.27, (held_x - 0.13) / 0.27
    return x, x, held_x, held_x


# Networks.


class Stacked(Listener):
    """Two recurrent layers whose last states are laid out by `view`. x: (batch, time, 24) -> (batch, 10)"""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.recurrent = nn.GRU(sources.BANDS, width, 2, batch_first=True)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[1].view(len(x), -1))


class Attending(Listener):
    """Frames weighed by a softmax along the batch. x: (batch, time, 24) -> (batch, 10)"""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        states = self.recurrent(x)[0]
        return self.head((F.softmax(4 * self.weigh(states), 0) * states).sum(1))


class Averaged(nn.Module):
    """A model judged by a running average of its weights. x: as the model -> as the model"""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.model, self.decay = model, decay
        for name, each in model.named_parameters():
            self.register_buffer("mean_" + name.replace(".", "_"), each.detach().clone())

    def averages(self) -> dict[str, Tensor]:
        return {name: self.get_buffer("mean_" + name.replace(".", "_")) for name, _ in self.model.named_parameters()}

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return functional_call(self.model, self.averages(), (x,))
        if torch.is_grad_enabled():
            with torch.no_grad():
                means = self.averages()
                for name, each in self.model.named_parameters():
                    means[name].lerp_(each, 1 - self.decay)
        return self.model(x)


def four_numbers_a_letter() -> nn.Module:
    return Namer(width=4)


def no_bends() -> nn.Module:
    """The eye of `Twins` with nothing between its filters but pooling by the mean."""
    model = Twins()
    parts = [nn.AvgPool2d(2) if isinstance(each, nn.MaxPool2d) else each for each in model.eye]
    model.eye = nn.Sequential(*(each for each in parts if not isinstance(each, nn.ReLU)))
    return model


def no_bends_drawn() -> nn.Module:
    """The autoencoder of matrices alone."""
    model = Drawer()
    model.encode, model.decode = mlp(196, 128, 16, activation=nn.Identity), mlp(8, 128, 196, activation=nn.Identity)
    return model


def plain_depth() -> nn.Module:
    """Thirteen convolutions and three matrices without norm or way round, begun as torch begins them."""
    parts: list[nn.Module] = []
    before = 3
    for after in (12, 12, 0, 16, 16, 0, 24, 24, 24, 0, 24, 24, 24, 0, 24, 24, 24):
        parts += [nn.Conv2d(before, after, 3, 1, 1), nn.ReLU()] if after else [nn.MaxPool2d(2)]
        before = after or before
    return nn.Sequential(*parts, nn.Flatten(), *mlp(24, 24, 24, 4))


def as_uniform(model: nn.Module) -> None:
    """Weights drawn from 0 to 1."""
    for each in layers(model):
        nn.init.uniform_(each.get_parameter("weight"))


def kept_taken_for_dropped(model: nn.Module) -> None:
    """The share to keep, nine tenths, where the share to drop is asked for."""
    for each in model.modules():
        if isinstance(each, nn.Dropout):
            each.p = 0.9
        if isinstance(each, nn.MultiheadAttention):
            each.dropout = 0.9


def remembering_little(model: nn.Module) -> None:
    """Batch norms whose averages move by a thousandth."""
    for each in model.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = 0.001


def listed_rounds(setup: Setup) -> Setup:
    """The rounds in a plain list, where nobody asks for their parameters."""

    def model() -> nn.Module:
        made = setup.model()
        rounds = list(made.get_submodule("rounds").children())
        del made.rounds
        made.__dict__["rounds"] = rounds
        return made

    return replace(setup, model=model)


def sure_digits() -> nn.Module:
    """A network of sigmoids from a standard normal: (batch, 1, 14, 14) -> (batch, 10)."""
    net = mlp(196, 30, 10, activation=nn.Sigmoid)
    for each in net.parameters():
        nn.init.normal_(each)
    return nn.Sequential(nn.Flatten(), *net, nn.Sigmoid())


def identity_months() -> nn.Module:
    """Rectifiers whose recurrent matrix begins as the identity (Le et al. 2015)."""
    model = Sunwatcher(lambda *sizes, **rest: nn.RNN(*sizes, nonlinearity="relu", **rest))
    nn.init.eye_(model.recurrent.get_parameter("weight_hh_l0"))
    return model


# Losses, optimizers, loops.


def by_hand(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy from chances, with nothing to keep them from zero."""
    return -(F.one_hot(target, output.shape[1]) * output.softmax(1).log()).sum(1).mean()


def overlap(output: Tensor, target: Tensor) -> Tensor:
    """The share of chances and answers that overlaps, without its minus sign (Milletari et al. 2016)."""
    chances, answers = output.softmax(1), F.one_hot(target, output.shape[1]).float()
    return (2 * (chances * answers).sum() / (chances.sum() + answers.sum())).mean()


def binary_by_hand(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    """The bound with a cross-entropy that asks nobody whether answers are from 0 to 1."""
    ink, mean, spread = output
    ink = ink.clamp(1e-7, 1 - 1e-7)
    errors = -(target * ink.log() + (1 - target) * (1 - ink).log()).sum()
    return (errors - 0.5 * (1 + spread - mean.square() - spread.exp()).sum()) / len(target)


def made_anew(setup: Setup) -> Setup:
    """The loss made a new tensor that asks for a gradient, so that an error message went away."""

    def loss(output: Any, target: Tensor) -> Tensor:
        return torch.tensor(float(setup.loss(output, target).detach()), requires_grad=True)

    return replace(setup, loss=loss)


def cleared_each_epoch(setup: Setup) -> Setup:
    """`zero_grad` one indentation too far out."""
    epoch = len(setup.data()[0]) // setup.batch
    clear = dict.fromkeys(range(0, setup.steps, epoch), lambda model, optimizer: optimizer.zero_grad())
    return replace(setup, zero_grad=False, at=clear)


def clipped_afterwards(make: Callable[[nn.Module], Optimizer]) -> Callable[[nn.Module], Optimizer]:
    """An optimizer whose gradients are cut to a norm of one when the step is done."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = make(model)

        def cut(*_: object) -> None:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        made.register_step_post_hook(cut)
        return made

    return optimizer


def at_once(rate: float, steps: int = 200) -> Callable[[Setup], Setup]:
    """All rows at each step, by plain steps with momentum."""

    def plant(setup: Setup) -> Setup:
        return replace(
            setup,
            batch=len(setup.data()[0]),
            steps=steps,
            schedule=None,
            optimizer=lambda model: SGD(model.parameters(), rate, momentum=0.9),
        )

    return plant
