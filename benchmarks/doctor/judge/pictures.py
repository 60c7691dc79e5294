"""Convolutions on pictures: digits, photos, and drawn letters laid near their like."""

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA, characters, parquet
from PIL import Image
from torch import nn

DoctorOf = Callable[..., Any]
Told = dict[str, float]


def examined(model: nn.Module, x: torch.Tensor, y: torch.Tensor, still: bool = True) -> Told:
    """Loss and accuracy on held-out rows; still: dropout off and running means taken."""
    was = model.training
    model.train(not still)
    with torch.no_grad():
        output = torch.cat([model(part) for part in x.split(500)])
    model.train(was)
    return {"loss": float(F.cross_entropy(output, y)), "accuracy": float((output.argmax(1) == y).float().mean())}


def digit_model(fault: str) -> nn.Sequential:
    if fault == "ten layers of sigmoids":
        parts: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 32), nn.Sigmoid()]
        for _ in range(9):
            parts += [nn.Linear(32, 32), nn.Sigmoid()]
        return nn.Sequential(*parts, nn.Linear(32, 10))
    width = 2 if fault == "two hidden units" else 64
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10),
    )  # fmt: skip
    with torch.no_grad():
        for index in (0, 2, 5, 7):
            if fault == "every weight the same":
                model[index].weight.fill_(0.02)
            if fault == "biases far below nought" and index < 7:
                model[index].bias.fill_(-2.0)
        if fault == "squared errors of sigmoids begun wide":
            model[7].weight.normal_(std=8.0)
        if fault == "mostly dark":
            model[5].weight.mul_(6)
            model[5].bias.fill_(-0.3)
    return model


def digit_rows(fault: str, seed: int) -> list[torch.Tensor]:
    """Pictures and answers to learn from, and held-out ones."""
    bytes_, labels = parquet("mnist", "train", 5000)
    held, held_labels = parquet("mnist", "test", 1500)
    x, y = torch.tensor(bytes_[:, None] / np.float32(255)), torch.tensor(labels)
    if fault == "seven kinds hardly there":
        kept = (y < 3) | (torch.arange(len(y)) % 60 == 0)
        x, y = x[kept], y[kept]
    if fault == "the answers shuffled":
        y = y[torch.randperm(len(y))]
    held_x = torch.tensor(held[:, None] / np.float32(255))
    if fault == "held-out pictures with dark and light exchanged":
        held_x = 1 - held_x
    return [x, y, held_x, torch.tensor(held_labels)]


def digit_batch(x: torch.Tensor, y: torch.Tensor, fault: str) -> tuple[torch.Tensor, torch.Tensor]:
    pick = torch.randint(len(x), (64,))
    inputs, target = x[pick], y[pick]
    if fault == "turned any way, mirrored and cut":
        inputs = torch.stack([torch.rot90(row, int(torch.randint(4, ())), (1, 2)) for row in inputs])
        inputs = torch.where(torch.rand(64, 1, 1, 1) < 0.5, inputs.flip(3), inputs)
        left, top = torch.randint(0, 16, (2,)).tolist()
        inputs = F.interpolate(inputs[:, :, top : top + 12, left : left + 12], size=28)
    if fault == "pushed about and noisy":
        shift = torch.randint(-3, 4, (2,)).tolist()
        inputs = torch.roll(inputs, shift, (2, 3)) + 0.3 * torch.randn(64, 1, 28, 28)
    if fault == "two pictures in one":
        share = float(np.random.beta(0.4, 0.4))
        inputs = share * inputs + (1 - share) * inputs.flip(0)
        target = share * F.one_hot(target, 10).float() + (1 - share) * F.one_hot(target.flip(0), 10).float()
    return inputs, target


def digit_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault == "a rate of five":
        return torch.optim.SGD(model.parameters(), lr=5.0)
    if fault == "a decay of three tenths":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.3)
    return torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)


def digit_rates(optimizer: torch.optim.Optimizer, fault: str) -> Any:
    if fault == "a patience of nought, asked at every step":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    if fault == "rates that go round":
        return torch.optim.lr_scheduler.CyclicLR(optimizer, 0.003, 0.06, step_size_up=50)
    return None


def digits(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Digits by a small network of convolutions; accuracy, and the mean recall where kinds are rare."""
    x, y, held_x, held_y = digit_rows(fault, seed)
    model, steps = digit_model(fault), 500
    optimizer = digit_optimizer(model, fault)
    rates = digit_rates(optimizer, fault)
    criterion: Callable[..., torch.Tensor] = nn.CrossEntropyLoss()
    if fault == "squared errors of sigmoids begun wide":
        criterion = lambda output, target: F.mse_loss(output.sigmoid(), F.one_hot(target, 10).float())  # noqa: E731
    held = list(zip(held_x.split(500), held_y.split(500), strict=True))
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    kept: list[torch.Tensor] = []
    for step in range(steps):
        inputs, target = digit_batch(x, y, fault)
        optimizer.zero_grad()
        output = model(inputs)
        loss = criterion(output, target)
        if fault == "features as rare as can be":
            loss = loss + 0.02 * model[:7](inputs).abs().mean()
        loss.backward()
        optimizer.step()
        if rates:
            rates.step(loss.detach()) if "patience" in fault else rates.step()
        if fault == "all that was ever seen kept for the log":
            kept.append(model[:2](inputs))
        if fault == "half of a checkpoint read" and step == 470:
            model[5].reset_parameters(), model[2].reset_parameters()
        doctor.watch(loss, inputs, target)
        if step % 50 == 49:
            doctor.evaluated(**examined(model, held_x, held_y))
    doctor.close()
    return examined(model, held_x, held_y)["accuracy"]


class Residual(nn.Module):
    """Two convolutions beside which the input goes on."""

    def __init__(self, width: int, fault: str) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        pace = 0.0 if fault == "running means never moved" else 0.1
        self.first, self.second = nn.BatchNorm2d(width, momentum=pace), nn.BatchNorm2d(width, momentum=pace)
        if fault == "side branches begun at nought":
            nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.two(F.relu(self.first(self.one(x))))))


class PhotoNet(nn.Module):
    """A stem, two stages and a head."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        pace = 0.0 if fault == "running means never moved" else 0.1
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12, momentum=pace), nn.ReLU())
        self.trunk = nn.Sequential(Residual(12, fault), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), Residual(24, fault))
        self.head = nn.Linear(24, 10)
        self.fault = fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.trunk(self.stem(x)).mean((2, 3))
        answer: torch.Tensor = self.head(out.detach() if self.fault == "cut off before the head" else out)
        return answer


@cache
def files() -> list[bytes]:
    """The first 4,000 photos as files."""
    frame = pl.read_parquet(DATA / "cifar10" / "train.parquet", n_rows=4000)
    return [each["bytes"] for each in frame["image"]]


def photo_rows(fault: str) -> list[torch.Tensor]:
    """Photos (rows, 3, 32, 32) and answers to learn from, and held-out ones."""
    out: list[torch.Tensor] = []
    for part, count in (("train", 4000), ("test", 1000)):
        photos, labels = parquet("cifar10", part, count)
        x = torch.tensor(photos).permute(0, 3, 1, 2)
        out += [
            (x // 255).float() if fault == "bytes divided without a rest" else x / 255 * 4 - 2,
            torch.tensor(labels),
        ]
    if fault == "test photos among those learned":
        out[:2] = [torch.cat([out[0][:200], out[2]]), torch.cat([out[1][:200], out[3]])]
    return out


def read(pick: torch.Tensor) -> torch.Tensor:
    """Photos decoded, made larger, turned to inks and back, and made small again when they are asked for."""
    rows = []
    for row in pick.tolist():
        photo = Image.open(io.BytesIO(files()[row])).resize((192, 192), Image.Resampling.NEAREST)
        photo = photo.convert("CMYK").convert("RGB").resize((32, 32), Image.Resampling.NEAREST)
        rows.append(torch.tensor(np.asarray(photo)).permute(2, 0, 1) / 255 * 4 - 2)
    return torch.stack(rows)


def photo_optimizer(model: PhotoNet, fault: str, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """And its rates, if they are planned."""
    rate = {"a rate of a millionth": 1e-6, "two photos a batch": 3e-3}.get(fault, 3e-3)
    groups = [{"params": [*model.stem.parameters(), *model.trunk.parameters()]}, {"params": model.head.parameters()}]
    if fault == "a trunk at a ten-thousandth of the rate":
        groups[0]["lr"] = rate * 1e-4
    if fault == "a trunk learned before, held still":
        model.stem.requires_grad_(False), model.trunk.requires_grad_(False)
        return torch.optim.Adam(model.head.parameters(), lr=1e-3), None
    optimizer = torch.optim.Adam(groups, lr=rate)
    restarts = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    return optimizer, restarts(optimizer, steps // 3) if fault == "a cosine begun three times" else None


def photos(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Photos of ten kinds; accuracy."""
    x, y, held_x, held_y = photo_rows(fault)
    model, steps, size = PhotoNet(fault), 300, 2 if fault == "two photos a batch" else 64
    if fault == "a trunk learned before, held still":
        before = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(250):
            pick = torch.randint(len(x), (64,))
            before.zero_grad()
            F.cross_entropy(model(x[pick]), y[pick]).backward()
            before.step()
    optimizer, rates = photo_optimizer(model, fault, steps)
    criterion = nn.CrossEntropyLoss()
    held = list(zip(held_x.split(250), held_y.split(250), strict=True))
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    for step in range(steps):
        pick = torch.randint(len(x), (size,))
        inputs = read(pick) if fault == "each photo decoded when it is asked for" else x[pick]
        optimizer.zero_grad()
        loss = criterion(model(inputs), y[pick])
        loss.backward()
        optimizer.step()
        if rates:
            rates.step()
        doctor.watch(loss, inputs, y[pick])
        if step % 50 == 49:
            doctor.evaluated(**examined(model, held_x, held_y))
    doctor.close()
    return examined(model, held_x, held_y)["accuracy"]


def pair_loss(fault: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Each drawing among those of the batch shall be nearest to its like."""

    def loss(places: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        first, second = places.chunk(2)
        if fault == "only drawn together":
            return (first - second).square().sum(1).mean() / 10
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        return F.cross_entropy(first @ second.T * 10, torch.arange(len(first)))

    return loss


def pairs(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Drawn characters of alphabets not seen before; how often the nearest is of the same kind."""
    ink, kinds, _ = characters()
    learned, test = np.flatnonzero(kinds < 90), np.flatnonzero(kinds >= 90)
    x, held = torch.tensor(ink[:, None]).float(), torch.tensor(ink[test][:, None]).float()
    groups = [learned[kinds[learned] == kind] for kind in range(90)]
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32),
        nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(512, 32),
    )  # fmt: skip
    decay = 3.0 if fault == "a decay that holds all down" else 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3 * (5 if decay else 1), weight_decay=decay * 4)
    criterion = pair_loss(fault)
    doctor = doctor_of(model, optimizer, loss=criterion)
    for _ in range(300):
        chosen = np.random.permutation(90)[:24]
        both = np.array([np.random.choice(groups[kind], 2, replace=False) for kind in chosen]).T.reshape(-1)
        inputs, target = x[both], torch.tensor(kinds[both])
        optimizer.zero_grad()
        loss = criterion(model(inputs), target)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, inputs, target)
    doctor.close()
    model.eval()
    with torch.no_grad():
        places = F.normalize(model(held), dim=1)
    near = (places @ places.T - 2 * torch.eye(len(places))).argmax(1).numpy()
    return float((kinds[test][near] == kinds[test]).mean())
