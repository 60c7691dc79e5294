"""Healthy trainings that people run and ask whether they are normal, for false alarms: beside the list from threads.

Fifteen are each after what a thread is about in which somebody asked so and was told yes, or told why it is so; the
other five are what such threads name in passing. Each was trained without a doctor, seed 0, and reaches at least 95 %
of its family's usual score; seven that did not at first were given more steps, a smaller share hidden or other rates.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.controls import Control
from benchmarks.doctor.missteps import Apart, contrastive
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.programs import overlap
from benchmarks.doctor.setups import Parts, Setup
from benchmarks.doctor.slips import Optimizer
from benchmarks.doctor.trainings import (
    DRAWN,
    HOURS,
    LOANS,
    NAMES,
    PAIRED,
    PATCHES,
    PHOTOS,
    REVIEWS,
    SHELLS,
    SOUND,
    SUNSPOTS,
    Drawer,
    Forecaster,
    Listener,
    Patched,
    Sunwatcher,
    bound,
    resnet,
)
from benchmarks.doctor.variants import learner, rows
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts


class Doubtful(Forecaster):
    """The next hours and the logarithms of their spreads. x: (batch, 7, 48) -> (batch, 6) twice"""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 12)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        hours, spread = super().forward(x).chunk(2, 1)
        return hours, spread


class Hidden(Patched):
    """A third of the patches hidden while it learns, other ones each time. x: (batch, 1, 28, 28) -> (batch, 10)"""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            shown = (torch.rand(len(x), 1, 4, 4) < 0.67).float()
            x = x * F.interpolate(shown, scale_factor=7.0)
        return super().forward(x)


def doubted(output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """A Laplacian's negative log-likelihood, below zero where it is sure and right."""
    mean, spread = output
    spread = spread.clamp(-6, 6)
    return (spread + (target - mean).abs() * (-spread).exp()).mean()


def summed(output: Tensor, target: Tensor) -> Tensor:
    """Squared errors added up, in the hundreds and thousands."""
    return F.mse_loss(output, target, reduction="sum")


def below_nothing(output: Tensor, target: Tensor) -> Tensor:
    """The share of chances and answers that overlaps, with its minus sign: from zero down to minus one."""
    return -overlap(output, target)


def let_in_slowly(setup: Setup, steps: int) -> Setup:
    """The divergence weighed by nothing at first and in full after these steps, so that the loss rises."""
    weight = {"now": 0.0}

    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        weight["now"] = min(1.0, step / steps)
        return x, y

    def loss(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        errors = F.binary_cross_entropy(output[0], target, reduction="sum") / len(target)
        return errors + weight["now"] * (bound(output, target) - errors)

    return replace(setup, change=change, loss=loss)


def pasted(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A square of eight from another photo, and both labels by their shares (Yun et al. 2019)."""
    chance = drawn(step)
    top, left = (int(torch.randint(0, 9, (1,), generator=chance)) for _ in range(2))
    x, other = x.clone(), x.roll(1, 0)
    x[:, :, top : top + 8, left : left + 8] = other[:, :, top : top + 8, left : left + 8]
    answers = F.one_hot(y, 4).float()
    return x, 0.75 * answers + 0.25 * answers.roll(1, 0)


def always_cut(setup: Setup, norm: float) -> Setup:
    """Slopes cut to a norm that they are above at every step."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)

        def cut(*_: object) -> None:
            nn.utils.clip_grad_norm_(model.parameters(), norm)

        made.register_step_pre_hook(cut)
        return made

    return replace(setup, optimizer=optimizer)


def steps_left_out(setup: Setup, count: int) -> Setup:
    """The first steps left out, as a scaler of losses does until it has found its scale."""

    def optimizer(model: nn.Module) -> Optimizer:
        made, left = setup.optimizer(model), [count]

        def skip(*_: object) -> None:
            left[0] -= 1
            if left[0] >= 0:
                made.zero_grad()

        made.register_step_pre_hook(skip)
        return made

    return replace(setup, optimizer=optimizer)


def by_length(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Batches of names of one length, and the batches in an order of chance."""
    order = ((x > 0).sum(1) + torch.rand(len(x), generator=drawn(90))).argsort()
    batches = order[: len(order) // 48 * 48].view(-1, 48)
    order = batches[torch.randperm(len(batches), generator=drawn(91))].flatten()
    return x[order], y[order], held_x, held_y


def filters_dropped() -> nn.Module:
    """A fifth of the filters left out by chance in front of the last two rounds."""
    return nn.Sequential(*(nn.Sequential(nn.Dropout2d(0.2), each) if place in (4, 5) else each
                           for place, each in enumerate(resnet())))  # fmt: skip


@cache
def taught() -> dict[str, Any]:
    """Weights of the photos' network after its usual training, on rows that are not used again."""
    with torch.random.fork_rng():
        torch.manual_seed(92)
        model, (x, y, _, _) = resnet(), PHOTOS.data()
        optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
        for _ in range(180):
            picked = torch.randint(1600, (48,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[picked]), y[picked]).backward()
            optimizer.step()
    return {name: each.clone() for name, each in model.state_dict().items()}


class FirstHeld(nn.Module):
    """Weights that know photos, the first stages and their norms held still. x: (batch, 3, 16, 16) -> (batch, 4)"""

    def __init__(self) -> None:
        super().__init__()
        self.net = resnet()
        self.net.load_state_dict(taught())
        self.first = 4
        for each in self.net[: self.first]:
            each.requires_grad_(False)

    def train(self, mode: bool = True) -> "FirstHeld":
        super().train(mode)
        for each in self.net[: self.first]:
            each.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def other_half() -> Parts:
    x, y, held_x, held_y = PHOTOS.data()
    return x[1600:], y[1600:], held_x, held_y


def two_rates(model: nn.Module) -> Optimizer:
    """The head five times as fast as what is below it."""
    below = [each for name, each in model.named_parameters() if not name.startswith("head")]
    head = list(model.get_submodule("head").parameters())
    return AdamW([{"params": below, "lr": 2e-3}, {"params": head, "lr": 1e-2}])


UNTROUBLED = (
    # GitHub, facebookresearch/detr#91, verl-project/verl#2282, jeffffffli/res-loglikelihood-regression#5
    Control("hours, slopes cut at every step", always_cut(HOURS, 0.1)),
    Control("names, slopes cut at every step", always_cut(NAMES, 0.3)),
    Control("hours with a doubt, below zero", replace(HOURS, model=Doubtful, loss=doubted)),
    # GitHub, winycg/HCGNet#2, nv-tlabs/LION#17, RasmussenLab/vamb#400
    Control("photos pasted into one another", replace(PHOTOS, change=pasted, steps=400)),
    Control("digits drawn, the divergence let in slowly", let_in_slowly(DRAWN, 200)),
    Control("digits drawn from 16 numbers, the divergence rising", replace(
        DRAWN, model=lambda: Drawer(16), steps=400)),
    # GitHub, omoindrot/tensorflow-triplet-loss#51, PKU-YuanGroup/WF-VAE#18, MIC-DKFZ/nnDetection#199
    Control("pairs by their distance alone", replace(PAIRED, model=Apart, loss=contrastive)),
    Control("hours, errors added up", replace(HOURS, loss=summed)),
    Control("photos by overlap, below zero", replace(
        learner(lambda m: Adam(m.parameters(), 3e-3))(PHOTOS), loss=below_nothing, steps=260)),
    # GitHub, lm-sys/FastChat#2025, imatge-upc/liverseg-2017-nipsws#7, ChuhuaW/SGNet.pytorch#14
    Control("reviews, a stair at each epoch", replace(
        learner(lambda m: Adam(m.parameters(), 5e-3))(REVIEWS), steps=220)),
    Control("shells by eight", replace(
        learner(lambda m: RMSprop(m.parameters(), 3e-4))(SHELLS), batch=8, steps=800, evaluations=100,
        schedule=lambda o: CosineAnnealingLR(o, 800))),
    Control("spoken digits under gates, slow at first", replace(
        learner(lambda m: SGD(m.parameters(), 0.1, momentum=0.9))(SOUND), model=lambda: Listener(nn.LSTM), steps=450)),
    # GitHub, PetarV-/GAT#7, MIC-DKFZ/nnUNet#931, open-mmlab/mmdetection#4211
    Control("patches, a third of them hidden", replace(PATCHES, model=Hidden, steps=400)),
    Control("photos, filters left out by chance", replace(PHOTOS, model=filters_dropped, steps=260)),
    Control("photos, first stages held that know them", replace(
        PHOTOS, model=FirstHeld, data=other_half, optimizer=lambda m: SGD(m.parameters(), 0.01, momentum=0.9))),
    # What such threads name in passing: restarts, skipped steps, batches of one length, two rates, a decay of a tenth.
    Control("photos, restarts of the rate", replace(
        PHOTOS, schedule=lambda o: CosineAnnealingWarmRestarts(o, 60))),
    Control("sunspots, the first four steps left out", steps_left_out(replace(
        SUNSPOTS, model=lambda: Sunwatcher(nn.LSTM), optimizer=lambda m: Adam(m.parameters(), 5e-3)), 4)),
    Control("names in batches of one length", rows(by_length, shuffle=False)(NAMES)),
    Control("patches at two rates", replace(learner(two_rates)(PATCHES), steps=300)),
    Control("loans, a decay of a tenth", replace(
        LOANS, optimizer=lambda m: AdamW(m.parameters(), 2e-3, weight_decay=0.1), batch=25, steps=160)),
)  # fmt: skip
