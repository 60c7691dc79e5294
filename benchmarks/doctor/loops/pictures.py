"""Hand-written trainings on pictures, as somebody's script would have them, each with the mistakes that it may hold."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.loops.reading import DATA, characters, parquet, street, streets
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Digits(Dataset):
    """Handwritten digits from 0 to 1."""

    def __init__(self, part: str, count: int, fault: str = "") -> None:
        pictures, labels = parquet("mnist", part, count)
        self.x, self.y = torch.tensor(pictures).float().div(255).unsqueeze(1), torch.tensor(labels)
        if fault == "pictures shuffled, labels not":
            self.x = self.x[torch.randperm(count)]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return self.x[place], self.y[place]


class Reader(nn.Module):
    """Two convolutions and two layers. x: (rows, 1, 28, 28) -> (rows, 10)"""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)
        self.fault = fault
        if fault == "all weights from a standard normal":
            for each in self.modules():
                if isinstance(each, nn.Conv2d | nn.Linear):
                    nn.init.normal_(each.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.fault == "zeros left over from a trial":
            x = torch.zeros_like(x)
        if self.fault == "rows and channels laid out anew":
            return self.head(self.trunk(x).t().reshape(len(x), -1))
        return self.head(self.trunk(x))


def digits(doctor: Any, seed: int, fault: str = "") -> float:
    """Digits: own rows, F.cross_entropy in its place, a rate by epoch; the doctor is not told the loss."""
    train, test = Digits("train", 6000, fault), Digits("test", 2000)
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    model = Reader(fault)
    learned = model.parameters()
    if fault in ("the head replaced when the optimizer was made", "a trunk held still"):
        for each in model.trunk[:3].parameters() if fault == "a trunk held still" else model.trunk.parameters():
            each.requires_grad_(False)
        learned = (each for each in model.parameters() if each.requires_grad)
    optimizer = torch.optim.Adam(learned, lr=2e-3)
    if fault == "the head replaced when the optimizer was made":
        model.head = nn.Linear(64, 10)
    if fault == "a network in half precision":
        model.half()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    watcher = doctor(model, optimizer)
    steps, smooth = 0, 0.1 if fault == "smoothed labels" else 0.0
    for _ in range(3):
        model.train()
        for x, y in loader:
            x = x.half() if fault == "a network in half precision" else x
            optimizer.zero_grad()
            if fault == "pictures mixed":
                share, other = float(np.random.beta(0.4, 0.4)), torch.randperm(len(x))
                x = share * x + (1 - share) * x[other]
                output = model(x)
                loss = share * F.cross_entropy(output, y) + (1 - share) * F.cross_entropy(output, y[other])
            else:
                loss = F.cross_entropy(model(x), y, label_smoothing=smooth)
            if fault == "squared error of sigmoids at a hundredth of the temperature":
                loss = F.mse_loss((model(x) * 100).sigmoid(), F.one_hot(y, 10).float())
            loss.backward()
            optimizer.step()
            if fault == "pictures mixed":
                watcher.watch(loss)
            else:
                watcher.watch(loss, x, y)
            steps += 1
            if fault == "four hundred test pictures judged at each step from the third epoch on" and steps > 186:
                with torch.no_grad():
                    (model(test.x[:400]).argmax(1) == test.y[:400]).float().mean()
        schedule.step()
    watcher.close()
    model.eval().float()
    with torch.no_grad():
        return float((model(test.x).argmax(1) == test.y).float().mean())


class Residual(nn.Module):
    """Two convolutions and a way round. x: (rows, channels, height, width) -> the same"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.one = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.second, self.two = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.two(self.second(F.relu(self.one(self.first(x))))))


def photos(doctor: Any, seed: int, fault: str = "") -> float:
    """Cars, deer, frogs and ships: residual, bfloat16, one cycle of the rate, held-out batches, judged each epoch."""
    pictures, labels = parquet("cifar10", "train", 10000)
    kinds = [1, 4, 6, 8]
    rows = np.flatnonzero(np.isin(labels, kinds))
    y = torch.tensor([kinds.index(each) for each in labels[rows]])
    x = torch.tensor(pictures[rows]).permute(0, 3, 1, 2).float()
    x, y, held_x, held_y = x[:3200], y[:3200], x[3200:4000], y[3200:4000]
    if fault == "two hundred photos":
        x, y = x[:200], y[:200]
    x = (x / 255 - 0.47) / 0.25
    if fault != "held-out bytes left as they are":
        held_x = (held_x / 255 - 0.47) / 0.25
    size, steps = 2 if fault == "two photos a batch" else 64, 300
    if fault == "judged kind after kind in training mode":
        order = held_y.argsort()
        held_x, held_y = held_x[order], held_y[order]
    held_out = list(zip(held_x.split(100), held_y.split(100), strict=True))
    loader = DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True, drop_last=True)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Residual(16),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Residual(32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip
    criterion = nn.CrossEntropyLoss()
    top = {"a rate of sixty": 60.0, "two photos a batch": 0.1}.get(fault, 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=top, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule: Any = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=top, total_steps=steps + 1)
    if fault == "warm-up and a cosine":
        warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=40)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - 40)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], [40])
    watcher = doctor(model, optimizer, loss=criterion, held_out=held_out, steps=steps)
    step, accuracy = 0, 0.0
    while step < steps:
        model.train()
        for inputs, target in loader:
            if size == 64 and fault != "two hundred photos" and torch.rand(()) < 0.5:
                inputs = inputs.flip(3)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = criterion(model(inputs), target)
            loss.backward()
            if fault == "a rate thrown up for a moment" and 262 <= step < 266:
                optimizer.param_groups[0]["lr"] = 20.0
            optimizer.step()
            schedule.step()
            watcher.watch(loss, inputs, target)
            step += 1
            if step >= steps or step % 50 == 0:
                break
        model.train(fault == "judged kind after kind in training mode")
        with torch.no_grad():
            outputs = [model(inputs) for inputs, _ in held_out]
        scores = torch.cat(outputs)
        accuracy = float((scores.argmax(1) == held_y).float().mean())
        watcher.evaluated(loss=float(criterion(scores, held_y)), accuracy=accuracy)
    watcher.close()
    return accuracy


def twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())


class Bridged(nn.Module):
    """Down, up, and bridges between. x: (rows, 3, height, width) -> (rows, classes, height, width)"""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        bottom = 1 if fault == "one channel at the bottom, no bridges" else 32
        self.one, self.two, self.three = twice(3, 12), twice(12, 24), twice(24, bottom)
        self.up, self.last = twice(bottom + 24, 24), twice(24 + 12, 12)
        self.head, self.fault = nn.Conv2d(12, 12, 1), fault

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        three = self.three(F.max_pool2d(two, 2))
        if self.fault == "one channel at the bottom, no bridges":
            one, two = torch.zeros_like(one), torch.zeros_like(two)
        up = self.up(torch.cat([F.interpolate(three, scale_factor=2), two], 1))
        scores = self.head(self.last(torch.cat([F.interpolate(up, scale_factor=2), one], 1)))
        return scores.softmax(1) if self.fault == "a softmax before cross-entropy" else scores


class Streets(Dataset):
    """Photos from -1 to 1 and masks, held in memory or read from their files each time."""

    def __init__(self, part: str, fault: str = "") -> None:
        self.photos, self.masks = streets(part, (64, 48))
        self.files = sorted((DATA / "camvid" / part / "images").glob("*.jpg"))
        self.fault = fault

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        photo, mask = self.photos[place], self.masks[place]
        if self.fault == "photos read from their files each time":
            path: Path = self.files[place]
            photo, mask = street(path, (64, 48))
        x, y = torch.tensor(photo).permute(2, 0, 1) / 127.5 - 1, torch.tensor(mask).long()
        if self.fault == "masks divided by 255 with the photos":
            y = (torch.tensor(mask) / 255).long()
        if self.fault == "photos turned over, masks not" and torch.rand(()) < 0.7:
            x = x.flip(1, 2)
        return x, y


def roads(doctor: Any, seed: int, fault: str = "") -> float:
    """Streets, a class a pixel: down and up with bridges, two batches a step, a polynomial rate, no unlabelled."""
    train, held = Streets("train", fault), Streets("val")
    loader = DataLoader(train, batch_size=6, shuffle=True, drop_last=True)
    model, epochs, accumulate = Bridged(fault), 5, 2
    criterion = nn.CrossEntropyLoss(ignore_index=11)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    whole = (
        epochs if fault == "a rate that ends after so many batches as epochs" else epochs * len(loader) // accumulate
    )
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=whole, power=0.9)
    watcher = doctor(model, optimizer, loss=criterion)
    for _ in range(epochs):
        model.train()
        for number, (x, y) in enumerate(loader):
            loss = criterion(model(x), y)
            (loss / accumulate).backward()
            if (number + 1) % accumulate == 0:
                if fault == "clipped at a ten-thousandth":
                    nn.utils.clip_grad_norm_(model.parameters(), 1e-4)
                optimizer.step()
                if fault != "steps taken, gradients kept":
                    optimizer.zero_grad()
                schedule.step()
                watcher.watch(loss, x, y)
        model.eval()
        right = count = 0
        with torch.no_grad():
            for x, y in DataLoader(held, batch_size=25):
                named = y != 11
                right += int(((model(x).argmax(1) == y) & named).sum())
                count += int(named.sum())
        watcher.evaluated(accuracy=right / count)
    watcher.close()
    return right / count


class Thrice(nn.Module):
    """Places of three pictures. anchor, alike, unlike: (rows, 1, 28, 28) -> three of (rows, 32)"""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 49, 32),
        )  # fmt: skip

    def forward(self, anchor: Tensor, alike: Tensor, unlike: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.eye(anchor), self.eye(alike), self.eye(unlike)


def likeness(doctor: Any, seed: int, fault: str = "") -> float:
    """Characters: three pictures a row and a margin; the doctor is told the three. One of five, characters held out."""
    raw, kinds, drawers = characters()
    pictures, random = torch.tensor(raw).unsqueeze(1), np.random.default_rng(seed)
    groups = drawers if fault == "alike by who drew them" else kinds
    learned = [np.flatnonzero((groups == each) & (kinds < 100)) for each in np.unique(groups[kinds < 100])]
    model = Thrice()
    criterion: Any = nn.TripletMarginLoss(margin=1.0)
    if fault == "nothing that pushes apart":

        def criterion(anchor: Tensor, alike: Tensor, unlike: Tensor) -> Tensor:
            return (anchor - alike).square().sum(1).mean()

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    watcher = doctor(model, optimizer, loss=criterion)
    shown: list[Tensor] = []
    for _ in range(300):
        one, two = zip(*(random.choice(len(learned), 2, replace=False) for _ in range(48)), strict=True)
        pairs = np.stack([random.choice(learned[each], 2, replace=False) for each in one])
        other = np.array([random.choice(learned[each]) for each in two])
        anchor, alike, unlike = pictures[pairs[:, 0]], pictures[pairs[:, 1]], pictures[other]
        if fault == "alike and unlike exchanged":
            alike, unlike = unlike, alike
        if fault != "gradients not cleared":
            optimizer.zero_grad()
        places = model(anchor, alike, unlike)
        loss = criterion(*places)
        loss.backward()
        optimizer.step()
        if fault == "places kept for a plot":
            shown.extend(places)
        watcher.watch(loss, (anchor, alike, unlike))
    watcher.close()
    return one_of_five(model.eye, pictures, kinds)


def one_of_five(eye: nn.Module, pictures: Tensor, kinds: np.ndarray) -> float:
    """How often the nearest of five characters never seen, one drawing of each, is the right one."""
    random, right = np.random.default_rng(0), 0
    held = np.unique(kinds[kinds >= 100])
    with torch.no_grad():
        places = eye(pictures)
    for _ in range(600):
        five = random.choice(held, 5, replace=False)
        shown = [random.choice(np.flatnonzero(kinds == each), 2, replace=False) for each in five]
        place = int(random.integers(5))
        asked = places[shown[place][1]]
        right += int((places[[each[0] for each in shown]] - asked).square().sum(1).argmin() == place)
    return right / 600
