"""Healthy trainings of the later families, most of them unusual, for false alarms."""

import random
from dataclasses import replace

import torch
from benchmarks.doctor.controls import Control, cyclic, warm_up
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import Parts, Setup
from benchmarks.doctor.slips import Optimizer
from benchmarks.doctor.trainings import (
    DRAWN,
    HOURS,
    LESIONS,
    LOANS,
    NAMES,
    PAIRED,
    PATCHES,
    PHOTOS,
    REVIEWS,
    SHELLS,
    SOUND,
    SUNSPOTS,
    Listener,
    Patched,
    Reader,
    Residual,
    Shell,
    Sunwatcher,
    resnet,
)
from benchmarks.doctor.variants import learner, rows
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, OneCycleLR


def branches_from_zero() -> nn.Module:
    """Each residual branch begun at zero by the gain of its last norm."""
    model = resnet()
    for each in model.modules():
        if isinstance(each, Residual):
            nn.init.zeros_(next(each.body[-1].parameters()))
    return model


def cut_and_mirrored(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Photos mirrored by chance, moved by two pixels at most, a square of five blanked."""
    chance = random.Random(step)
    x = torch.where(torch.rand(len(x), 1, 1, 1, generator=drawn(step)) < 0.5, x.flip(3), x)
    x = x.roll((chance.randint(-2, 2), chance.randint(-2, 2)), (2, 3))
    top, left = chance.randrange(12), chance.randrange(12)
    x[:, :, top : top + 5, left : left + 5] = 0
    return x, y


def drawn_evenly(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """One in 43, and a sampler that draws both kinds as often."""
    picked = torch.multinomial(1 / y.bincount()[y], len(y), replacement=True, generator=drawn(50))
    return x[picked], y[picked], held_x, held_y


def sparse_words() -> nn.Module:
    """Word vectors whose gradients name only the words of a batch."""
    model = Reader()
    model.embed = nn.Embedding(4000, 32, padding_idx=0, sparse=True)
    return model


def fixed_patches() -> nn.Module:
    """Patches embedded by a random matrix that is not to learn."""
    model = Patched()
    for each in model.embed.parameters():
        each.requires_grad_(False)
    return model


class Cast(nn.Module):
    """A network under automatic casting to bfloat16. x: as the model -> as the model"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.model(x).float()


def clipped(setup: Setup) -> Setup:
    """Gradients cut to a norm of one."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)

        def cut(*_: object) -> None:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        made.register_step_pre_hook(cut)
        return made

    return replace(setup, optimizer=optimizer)


PLAIN = tuple(
    Control(f"plain {each.family}", each) for each in (SOUND, HOURS, REVIEWS, NAMES, PHOTOS, PATCHES, SHELLS, DRAWN)
)
UNHARMED = (
    *PLAIN,
    Control("photos, branches begun at zero", replace(PHOTOS, model=branches_from_zero)),
    Control("photos mirrored, moved and cut", replace(PHOTOS, change=cut_and_mirrored)),
    Control("pairs, half as long again", replace(PAIRED, steps=400)),
    Control("hours, restarts of the rate", replace(
        HOURS, schedule=lambda o: CosineAnnealingWarmRestarts(o, 60), loss=F.huber_loss)),
    Control("lesions drawn evenly", replace(rows(drawn_evenly)(LESIONS), loss=F.cross_entropy)),
    Control("names, one cycle", replace(NAMES, schedule=lambda o: OneCycleLR(o, 6e-3, total_steps=220))),
    Control("reviews, sparse word vectors", replace(REVIEWS, model=sparse_words)),
    Control("patches embedded by chance, not learned", replace(PATCHES, model=fixed_patches)),
    Control("shells in bfloat16", replace(SHELLS, model=lambda: Cast(Shell()))),
    Control("loans by eight", replace(
        learner(lambda m: SGD(m.parameters(), 0.01, momentum=0.9))(LOANS), batch=8, steps=300, evaluations=50)),
    Control("sunspots, gated and clipped, the rate up and down", clipped(replace(
        learner(lambda m: Adam(m.parameters(), 5e-3))(SUNSPOTS), model=lambda: Sunwatcher(nn.GRU), schedule=cyclic))),
    Control("spoken digits, half dropped, slowly begun", replace(
        SOUND, model=lambda: Listener(dropout=0.5), schedule=warm_up(60))),
)  # fmt: skip
