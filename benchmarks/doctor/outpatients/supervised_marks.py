"""Where and in what order: centres of cells by a heat map, strings of numerals without their places, two duties."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.harness.planted import FAST, STEEP, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import DATA
from benchmarks.doctor.outpatients.supervised_data import numerals, spoken
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

DoctorOf = Callable[..., Any]


def smear(name: str) -> Tensor:
    """A photo of blood at a fifth of its size, (3, 96, 128)."""
    photo = Image.open(DATA / "bccd" / "JPEGImages" / f"{name}.jpg").convert("RGB")
    return (torch.tensor(np.asarray(photo.resize((128, 96)))).permute(2, 0, 1) / 255 - 0.7) / 0.15


@cache
def smears(part: str) -> tuple[list[str], Tensor, list[Tensor]]:
    """Names, photos and the centres of red cells as shares of height and width, (cells, 2)."""
    names = (DATA / "bccd" / "ImageSets" / "Main" / f"{part}.txt").read_text().split()
    centres = []
    for name in names:
        boxes = ElementTree.parse(DATA / "bccd" / "Annotations" / f"{name}.xml").iter("object")
        edges = [[float(box.find(f"bndbox/{e}").text or 0) for e in ("ymin", "ymax", "xmin", "xmax")]  # type: ignore[union-attr]
                 for box in boxes if box.findtext("name") == "RBC"]  # fmt: skip
        corner = torch.tensor(edges).reshape(-1, 4)
        centres.append(torch.stack((corner[:, :2].mean(1) / 480, corner[:, 2:].mean(1) / 640), 1))
    return names, torch.stack([smear(name) for name in names]), centres


def hills(centres: list[Tensor], high: float, wide: float) -> Tensor:
    """A map of 24 x 32 with a hill of one at each centre."""
    down, along = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    maps = []
    for each in centres:
        at = (each * torch.tensor([high, wide])).round().clamp(max=torch.tensor([23.0, 31.0]))
        square = (down - at[:, 0, None, None]) ** 2 + (along - at[:, 1, None, None]) ** 2
        maps.append(torch.exp(-square / 2).amax(0) if len(each) else torch.zeros(24, 32))
    return torch.stack(maps)


def cells(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Centres of red cells by a heat map and its focal loss; score: correlation of maps of other photos."""
    names, x, centres = smears("train")
    y = hills(centres, 480, 640) if name == "centres in the large photo's pixels" else hills(centres, 24, 32)
    head = nn.Conv2d(32, 1, 1)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, 2, 2),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 5, 1, 2),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        head,
    )
    squares = name == "squares of sigmoids begun far down"
    head.bias.data.fill_(-12.0 if squares else -2.2)  # type: ignore[union-attr]

    def focal(score: Tensor, hill: Tensor) -> Tensor:
        share, top = score.squeeze(1).sigmoid(), hill > 0.99
        if squares:
            return (share - hill).square().mean()
        hit = (1 - share) ** 2 * F.logsigmoid(score.squeeze(1)) * top
        miss = (1 - hill) ** 4 * share**2 * F.logsigmoid(-score.squeeze(1)) * ~top
        return -(hit + miss).sum() / (top.sum() if name != "by the photo, not by the cell" else len(score))

    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9) if squares else torch.optim.Adam(
        model.parameters(), 2e-3)  # fmt: skip
    doctor = doctor_of(model, optimizer, focal)
    for _ in range(170):
        at = torch.randint(len(x), (8,))
        photo, hill = x[at], y[at]
        if name == "photos opened anew for each batch":
            photo = torch.stack([smear(names[i]) for i in at])
        if torch.rand(()) < 0.5:
            photo, hill = photo.flip(3), hill if name == "photos mirrored, hills not" else hill.flip(2)
        loss = focal(model(photo), hill)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, photo, hill)
    doctor.close()
    model.eval()
    _, far, there = smears("test")
    with torch.no_grad():
        both = torch.stack((model(far).sigmoid().flatten(), hills(there, 24, 32).flatten()))
    return float(torch.corrcoef(both).nan_to_num(0.0)[0, 1])


class Strip(nn.Module):
    """A strip of numerals (rows, 1, 28, 96) to log-chances of eleven signs (24 places, rows, 11)."""

    def __init__(self, deep: bool) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
                                 nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())  # fmt: skip
        self.column = nn.Linear(24 * 7 * 5, 64)
        middle = [each for _ in range(8) for each in (nn.Linear(64, 64), nn.Sigmoid())] if deep else [nn.ReLU()]
        self.head = nn.Sequential(*middle, nn.Linear(64, 11))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.see(x).flatten(1, 2)
        around = F.unfold(seen[:, :, None], (1, 5), padding=(0, 2)).permute(2, 0, 1)
        return self.head(self.column(around)).log_softmax(2)


def strings(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Three or four numerals in a strip, read by CTC; score: share of strings read without any fault."""

    def strips(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.randint(len(x), (count, 4))
        strip = x[at][..., 2:26].squeeze(2).permute(0, 2, 1, 3).flatten(2)[:, None]
        long = torch.randint(3, 5, (count,))
        strip[long == 3, ..., 72:] = 0
        return (strip - 0.14) / 0.32, (y[at] + 1) * (torch.arange(4) < long[:, None]), long

    x, y, long = strips(*numerals("train", 6000), 3000)
    far, right, _ = strips(*numerals("test", 1500), 400)
    if name == "nought has the blank's number":
        y = (y - 1).clamp(min=0)
    if name == "what follows the last one counted as a nought":
        y, long = y.clamp(min=1), torch.full_like(long, 4)
    model = Strip(name == "eight layers of sigmoids before the head")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-2, total_steps=350)
    doctor = doctor_of(model, optimizer)
    for _ in range(350):
        at = torch.randint(3000, (32,))
        kind = "sum" if name == "summed over strips" else "mean"
        loss = F.ctc_loss(model(x[at]), y[at], torch.full((32,), 24), long[at], reduction=kind)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        cycle.step()
        doctor.watch(loss, x[at])
    doctor.close()
    model.eval()
    with torch.no_grad():
        best = model(far).argmax(2).T
    shift = 1 if name == "nought has the blank's number" else 0
    said = [[int(s) + shift for s in row.unique_consecutive() if s > 0] for row in best]
    return sum(a == [int(s) for s in b if s > 0] for a, b in zip(said, right, strict=True)) / len(said)


class Duties(nn.Module):
    """Sound (rows, 32, 40) to scores of the digit and of who speaks, with a logarithm of variance for each duty."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv1d(32, 48, 5, 2, 2), nn.ReLU(), nn.Conv1d(48, 48, 3, 2, 1), nn.ReLU())
        self.digit, self.speaker = nn.Linear(96, 10), nn.Linear(96, 6)
        self.unsure = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(x)
        seen = torch.cat((seen.mean(2), seen.amax(2)), 1)
        return self.digit(seen), self.speaker(seen)


def duties(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """What is said and by whom, each weighed by how unsure it is; the sum goes below nought; score: both right."""
    x, digit, speaker, held = spoken()
    far, what, who = x[held], digit[held], speaker[held]
    x, digit, speaker = x[~held], digit[~held], speaker[~held]
    model = Duties()
    if name == "half precision throughout":
        model, x, far = model.half(), x.half(), far.half()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    if name == "momentum at a rate for losses not yet weighed":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    kept: list[Any] = []
    doctor = doctor_of(model, optimizer)
    for _ in range(8):
        order = torch.randperm(len(x))
        if name == "one digit after another":
            order = digit.argsort()
        for at in order.split(54):
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16, two batches a step"):
                said, by = model(x[at])
                each = torch.stack((F.cross_entropy(said, digit[at]), F.cross_entropy(by, speaker[at])))
                loss = (torch.exp(-model.unsure) * each + 0.5 * model.unsure).sum()
            (loss / 2 if "two batches" in name else loss).backward()
            if "two batches" not in name or len(kept) % 2:
                optimizer.step()
                optimizer.zero_grad()
            graphs = name == "held-out answers kept with their graphs" and len(kept) % 4 == 0
            kept.append(model(far) if graphs else None)
            doctor.watch(loss, x[at], (digit[at], speaker[at]))
    doctor.close()
    with torch.no_grad():
        said, by = model(far)
    return float(((said.argmax(1) == what) & (by.argmax(1) == who)).float().mean())


PROGRAMS = (cells, strings, duties)
AWKWARD = (
    ("cells", "by the photo, not by the cell"), ("strings", "summed over strips"),
    ("duties", "bfloat16, two batches a step"),
)  # fmt: skip
MISTAKES = (
    Mistake("cells", "centres in the large photo's pixels", "targets-out-of-range", ("label-noise", *STUCK), False),
    Mistake("cells", "squares of sigmoids begun far down", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", "class-imbalance", *STEEP)),
    Mistake("cells", "photos mirrored, hills not", "label-breaking-augmentation", ("label-noise",), False),
    Mistake("cells", "photos opened anew for each batch", "dataloader-starvation", (), False, "symptom"),
    Mistake("strings", "nought has the blank's number", "targets-out-of-range", ("loss-head-mismatch",), False),
    Mistake("strings", "what follows the last one counted as a nought", "padding-or-mask-fault",
            ("label-noise", "targets-out-of-range"), False),
    Mistake("strings", "eight layers of sigmoids before the head", "vanishing-gradient", STEEP),
    Mistake("duties", "momentum at a rate for losses not yet weighed", "learning-rate-too-high", (*FAST, "loss-spike")),
    Mistake("duties", "half precision throughout", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("duties", "one digit after another", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("duties", "held-out answers kept with their graphs", "memory-leak", (), False, "symptom"),
)  # fmt: skip
