"""Networks, losses and optimizers to the same as people reported them gone wrong: the seventh list's parts."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.faults import layers
from benchmarks.doctor.setups import Setup, mlp
from benchmarks.doctor.slips import Optimizer, Planting
from benchmarks.doctor.trainings import REVIEWS, Drawer, Namer, Reader, Shell, Sunwatcher, Twins
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adagrad
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint

# Networks.


class Cosines(nn.Linear):
    """Cosines of what comes and of each class's weights, as they are. x: (batch, features) -> (batch, classes)"""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x), F.normalize(self.weight))


def unscaled_cosines(model: nn.Module) -> nn.Module:
    """The model with cosines for its last layer."""
    head = layers(model)[-1]
    for parent in list(model.modules()):
        for name, each in list(parent.named_children()):
            if each is head:
                setattr(parent, name, Cosines(head.weight.shape[1], head.weight.shape[0], bias=False))
    return model


class Rectified(Drawer):
    """A rectifier behind the decoder's last layer. x: (batch, 196) -> ink, means and log-variances, as `Drawer`"""

    def __init__(self) -> None:
        super().__init__()
        self.decode.append(nn.ReLU())


class Apart(Twins):
    """How far apart two pictures are, a half taken off, and its opposite. x: (batch, 2, 14, 14) -> (batch, 2)"""

    def forward(self, x: Tensor) -> Tensor:
        distance = ((self.eye(x[:, :1]) - self.eye(x[:, 1:])).square().sum(1) + 1e-6).sqrt()
        return torch.stack([distance - 0.5, 0.5 - distance], 1)


class LastPlace(nn.Module):
    """The last letter's place given to all. places: (time,) -> (time, width)"""

    def __init__(self, place: nn.Module) -> None:
        super().__init__()
        self.place = place

    def forward(self, places: Tensor) -> Tensor:
        return self.place(torch.full_like(places, len(places)))


def one_place(model: Any) -> nn.Module:
    """A network whose letters, or patches, are all given one place."""
    if isinstance(model.place, nn.Module):
        model.place = LastPlace(model.place)
    else:
        model.place = nn.Parameter(model.place[-1:].detach())
    return model


def loud_places(model: nn.Module) -> None:
    """Places of waves whose lengths were multiplied where they are divided: from 0 to many thousands."""
    weight = getattr(model.place, "weight", model.place)
    count, width = weight.shape
    weight.copy_(torch.arange(count)[:, None] * torch.logspace(0, 3, width))


@cache
def taught_words() -> Tensor:
    """Word vectors of a reader after its usual training."""
    with torch.random.fork_rng():
        torch.manual_seed(82)
        model, (x, y, _, _) = Reader(), REVIEWS.data()
        optimizer = Adagrad(model.parameters(), 0.05)
        for _ in range(200):
            picked = torch.randint(len(x), (32,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[picked]), y[picked]).backward()
            optimizer.step()
    return model.embed.weight.detach()


def a_row_off() -> nn.Module:
    """Word vectors that were learned before and are held still, each looked up a row too far."""
    model = Reader()
    model.embed.weight = nn.Parameter(taught_words().roll(1, 0), requires_grad=False)
    return model


class Unsure(Sunwatcher):
    """The next month and a deviation that may be nothing. x: (batch, 60, 1) -> (batch, 1) twice"""

    def __init__(self) -> None:
        super().__init__(nn.GRU)
        self.doubt = nn.Linear(32, 1)
        nn.init.ones_(self.doubt.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        state = self.recurrent(x)[0][:, -1]
        return self.head(state), self.doubt(state).relu()


class UnsureShell(Shell):
    """Rings and a deviation that may be nothing. x: (batch, 8) -> (batch, 1) twice"""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(48, 2)
        with torch.no_grad():
            self.head.bias[1] = 1.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        mean, doubt = super().forward(x).chunk(2, 1)
        return mean, doubt.relu()


def rectified_sigmoids() -> nn.Module:
    """Rectifiers put in the place of sigmoids, weights from a standard normal: (batch, 1, 14, 14) -> (batch, 10)."""
    net = mlp(196, 30, 10)
    for each in net.parameters():
        nn.init.normal_(each)
    return nn.Sequential(nn.Flatten(), *net, nn.ReLU())


def no_kernels(model: nn.Module) -> None:
    """Weights whose size is reckoned from the sum of all their sizes, where a filter's fans are products."""
    for each in model.modules():
        if isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(each.weight, std=(2 / sum(each.weight.shape)) ** 0.5)


class Recomputed(nn.Module):
    """First parts whose outputs are not kept but reckoned anew, which asks for inputs with slopes. x: as the model"""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__()
        parts = list(model.children())
        self.first, self.rest = nn.Sequential(*parts[:count]), nn.Sequential(*parts[count:])

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.first, x, use_reentrant=True) if self.training else self.first(x)
        return self.rest(x)


def never_taught(model: nn.Module) -> None:
    """All but norm and head held still as they were begun."""
    for name, each in model.named_parameters():
        each.requires_grad_(name.startswith(("norm", "head")))


def half_of_the_pixels(model: Any) -> None:
    """Half of what each pooling gives dropped."""
    parts = getattr(model, "eye", model)
    for place, each in enumerate(parts):
        if isinstance(each, nn.MaxPool2d):
            parts[place] = nn.Sequential(each, nn.Dropout(0.5))


class NormedOverTime(Namer):
    """Rounds normed over times and features together, so that each sees a little of what is to come.

    x: (batch, time) -> (batch, 27, time)
    """

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = self.embed(x) + self.place(torch.arange(x.shape[1]))
        for each in self.rounds:
            x = x + each.self_attn(x, x, x, attn_mask=later, need_weights=False)[0]
            x = F.layer_norm(x, x.shape[1:])
            x = x + each.linear2(each.linear1(x).relu())
            x = F.layer_norm(x, x.shape[1:])
        return self.head(x).transpose(1, 2)


# Losses, optimizers, schedules.


def contrastive(output: Tensor, target: Tensor) -> Tensor:
    """Squared distances of what is alike, and what others lack of a distance of one (Hadsell et al. 2006)."""
    distance = output[:, 0] + 0.5
    return torch.where(target == 1, distance.square(), (1 - distance).relu().square()).mean()


def wrong_way_round(output: Tensor, target: Tensor) -> Tensor:
    return contrastive(output, 1 - target)


def wide_margin(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of thirty cosines, half a radian added to the right angle and none kept from turning back."""
    angles = output.clamp(-1 + 1e-6, 1 - 1e-6).acos() + 0.5 * F.one_hot(target, output.shape[1])
    return F.cross_entropy(30 * angles.cos(), target)


def five_and_seven(output: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of labels that were left as they were in the file, five and seven."""
    return F.binary_cross_entropy_with_logits(output[:, 1] - output[:, 0], 5 + 2 * target.float())


def by_deviation(output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """A Gaussian's negative log-likelihood, with nothing to keep the deviation from zero."""
    mean, deviation = output
    return (deviation.log() + ((target - mean) / deviation).square() / 2).mean()


def clamped(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of chances that are kept from zero, and with them from any slope."""
    return -output.softmax(1).clamp(min=1e-7).gather(1, target[:, None]).log().mean()


def half_errors(output: Tensor, target: Tensor) -> Tensor:
    """Half the squared error, summed over classes."""
    return (output - F.one_hot(target, output.shape[1]).float()).square().sum(1).mean() / 2


def below_zero(share: float) -> Planting:
    """A rate in a straight line that is at zero after this share of the steps and goes on."""

    def plant(setup: Setup) -> Setup:
        last = math.ceil(share * setup.steps)
        return replace(
            setup,
            schedule=lambda o: LambdaLR(o, lambda step: 1 - step / last),
            at={last: lambda model, optimizer: None},  # told as the onset
        )

    return plant


def of_no_steps(optimizer: Optimizer) -> LambdaLR:
    """A schedule over as many steps as a loader without a length says that it has: a share of nothing."""
    return LambdaLR(optimizer, lambda step: 1.0 if step == 0 else math.nan)


class Turned(SGD):
    """Momentum added where it is to be taken off."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    velocity = self.state[each].setdefault("momentum_buffer", torch.zeros_like(each))
                    velocity.mul_(group["momentum"]).add_(each.grad)
                    each.add_(each.grad - group["momentum"] * velocity, alpha=-group["lr"])


class Unfading(SGD):
    """A velocity to which slopes are added and from which nothing is lost."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    velocity = self.state[each].setdefault("momentum_buffer", torch.zeros_like(each))
                    velocity.add_(each.grad, alpha=group["momentum"])
                    each.add_(velocity, alpha=-group["lr"])


def by(kind: type[SGD]) -> Planting:
    """The family's rate and momentum in an optimizer of this kind."""

    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> Optimizer:
            usual = setup.optimizer(model).param_groups[0]
            return kind(model.parameters(), usual["lr"], momentum=usual["momentum"])

        return replace(setup, optimizer=optimizer)

    return plant


def either(**makers: Callable[[], nn.Module]) -> Planting:
    """The network of this family among these."""
    return lambda setup: replace(setup, model=makers[setup.family])
