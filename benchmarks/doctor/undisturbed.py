"""Healthy trainings that people run and that look unusual, for false alarms: beside the list made from reports."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.controls import Control
from benchmarks.doctor.programs import Averaged
from benchmarks.doctor.setups import Parts, Setup
from benchmarks.doctor.slips import Optimizer
from benchmarks.doctor.trainings import (
    HOURS,
    LESIONS,
    LOANS,
    NAMES,
    PAIRED,
    PATCHES,
    PHOTOS,
    REVIEWS,
    SHELLS,
    SUNSPOTS,
    Forecaster,
    Reader,
    Shell,
    Sunwatcher,
    resnet,
)
from benchmarks.doctor.variants import learner
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.optim import Adadelta, Adam, AdamW
from torch.optim.lr_scheduler import LinearLR, MultiStepLR


class Skipping(Shell):
    """Rounds left out by chance, one in four of each batch (Huang et al. 2016). x: (batch, 8) -> (batch, 1)"""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(torch.cat([x[:, :7], self.embed(x[:, 7].long())], 1))
        for each in self.rounds:
            keep = (torch.rand(len(x), 1) < 0.75) / 0.75 if self.training else 1.0
            x = x + keep * each(x)
        return self.head(x)


class Doubting(Sunwatcher):
    """The next month and the logarithm of its variance. x: (batch, 60, 1) -> (batch, 1) twice"""

    def __init__(self) -> None:
        super().__init__(nn.GRU)
        self.doubt = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        state = self.recurrent(x)[0][:, -1]
        return self.head(state), self.doubt(state)


class Forgetting(Reader):
    """A reader that leaves out three words in ten while it learns. x: (batch, words) -> (batch, 2)"""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x.masked_fill(torch.rand(x.shape) < 0.3, 0)
        return super().forward(x)


class FromBytes(nn.Module):
    """Bytes through a batch norm without weights, then the usual network. x: (batch, 3, 16, 16) -> (batch, 4)"""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.net = nn.BatchNorm2d(3, affine=False), resnet()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.norm(x))


def doubted(output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """A Gaussian's negative log-likelihood, below zero where it is sure and right (Nix & Weigend 1994)."""
    mean, spread = output
    return F.gaussian_nll_loss(mean, target, spread.clamp(-8, 8).exp())


def focal(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy that cares little for what is right already, and three times for the rare (Lin et al. 2017)."""
    sure = output.log_softmax(1).gather(1, target[:, None])[:, 0]
    weight = torch.where(target == 1, 30.0, 1.0)
    return -(weight * (1 - sure.exp()).square() * sure).sum() / weight.sum()


def weights_normed() -> nn.Module:
    """Length and direction of each filter apart (Salimans & Kingma 2016)."""
    model = Forecaster()
    for each in (model.first, *model.layers):
        weight_norm(each)
    return model


def grouped() -> nn.Module:
    """Norms over groups of four channels in place of those over the batch (Wu & He 2018)."""
    model = resnet()
    for parent in list(model.modules()):
        for name, each in list(parent.named_children()):
            if isinstance(each, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(each.num_features // 4, each.num_features))
    return model


def mixed(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Photos mixed in pairs, and their labels by the same shares (Zhang et al. 2018)."""
    share = float(torch.distributions.Beta(0.4, 0.4).sample())
    answers = F.one_hot(y, 4).float()
    return share * x + (1 - share) * x.roll(1, 0), share * answers + (1 - share) * answers.roll(1, 0)


def norms_held(setup: Setup, first: int) -> Setup:
    """From this step on the batch norms keep what they know and the rate is a twentieth, as detectors are tuned."""

    def hold(model: nn.Module, optimizer: Optimizer) -> None:
        for each in model.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.eval()

    return replace(
        setup, at=dict.fromkeys(range(first, setup.steps), hold), schedule=lambda o: MultiStepLR(o, [first], 0.05)
    )


def head_first(setup: Setup, steps: int) -> Setup:
    """Everything but norm and head held still until this step (Howard & Ruder 2018)."""

    def held(yes: bool) -> Callable[[nn.Module, Optimizer], None]:
        def change(model: nn.Module, optimizer: Optimizer) -> None:
            for name, each in model.named_parameters():
                each.requires_grad_(not yes or name.startswith(("norm", "head")))

        return change

    return replace(setup, at={0: held(True), steps: held(False)})


@cache
def taught() -> dict[str, Any]:
    """Weights of the patched network after its usual training, on rows that are not used again."""
    with torch.random.fork_rng():
        torch.manual_seed(70)
        model, (x, y, _, _) = PATCHES.model(), PATCHES.data()
        optimizer = AdamW(model.parameters(), 2e-3)
        for _ in range(200):
            picked = torch.randint(2000, (48,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[picked]), y[picked]).backward()
            optimizer.step()
    return {name: each.clone() for name, each in model.state_dict().items()}


def already_taught() -> nn.Module:
    model = PATCHES.model()
    model.load_state_dict(taught())
    return model


def other_half() -> Parts:
    x, y, held_x, held_y = PATCHES.data()
    return x[2000:], y[2000:], held_x, held_y


def bytes_again() -> Parts:
    x, y, held_x, held_y = PHOTOS.data()
    return (60 * x + 120).clamp(0, 255).round(), y, (60 * held_x + 120).clamp(0, 255).round(), held_y


UNDISTURBED = (
    Control("patches judged by an average of weights", replace(
        PATCHES, model=lambda: Averaged(PATCHES.model(), 0.95))),
    Control("shells, rounds left out by chance", replace(SHELLS, model=Skipping)),
    Control("pairs by Adadelta at 1", learner(lambda m: Adadelta(m.parameters()))(PAIRED)),
    Control("names, the rate in a line to nothing", replace(
        NAMES, schedule=lambda o: LinearLR(o, 1.0, 0.0, total_iters=220))),
    Control("hours, length and direction apart", replace(HOURS, model=weights_normed)),
    Control("photos mixed with both labels", replace(PHOTOS, change=mixed, steps=260)),
    Control("photos by twelve, norms by group", replace(
        PHOTOS, model=grouped, batch=12, steps=600, evaluations=100,
        optimizer=lambda m: Adam(m.parameters(), 5e-3))),
    Control("photos, batch norms held from step 110", norms_held(PHOTOS, 110)),
    Control("lesions by focal loss", replace(LESIONS, loss=focal)),
    Control("sunspots with a doubt, below zero", replace(
        SUNSPOTS, model=Doubting, loss=doubted, optimizer=lambda m: Adam(m.parameters(), 3e-3), steps=300)),
    Control("reviews, three words in ten unread", replace(REVIEWS, model=Forgetting)),
    Control("patches, the head first", head_first(replace(PATCHES, steps=260), 60)),
    Control("loans, all rows at each step", replace(
        LOANS, batch=750, steps=200, evaluations=25,
        optimizer=lambda m: AdamW(m.parameters(), 1e-3, weight_decay=0.1))),
    Control("hours in the order in which chance left them", replace(HOURS, shuffle=False)),
    Control("photos in bytes behind a norm", replace(PHOTOS, data=bytes_again, model=FromBytes)),
    Control("patches gone on from weights that know them", replace(
        PATCHES, model=already_taught, data=other_half, schedule=None,
        optimizer=lambda m: AdamW(m.parameters(), 1e-4, weight_decay=0.05))),
)  # fmt: skip
