"""Two picture networks: numerals by a plain convolutional network, and photos by one with batch norm."""

import copy
from typing import Any

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy, momentum, plain
from benchmarks.doctor.loops.reading import parquet
from torch import Tensor, nn
from torch.nn import functional as F


class Numerals(nn.Module):
    """Two convolutions and two layers, without a norm."""

    def __init__(self, dropout: float = 0.0, sigmoids: int = 0, activation: type[nn.Module] = nn.ReLU,
                 width: int = 64) -> None:  # fmt: skip
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), activation(), nn.Conv2d(16, 32, 3, 2, 1), activation(), nn.Flatten()
        )
        deep = [layer for _ in range(sigmoids) for layer in (nn.Linear(width, width), nn.Sigmoid())]
        self.hidden = nn.Sequential(nn.Linear(1568, width), activation(), *deep)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.hidden(self.dropout(self.trunk(x)))))


class Bottleneck(Numerals):
    """All that is known of a picture goes through one number."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(64, 1), nn.Linear(1, 64)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.down(self.hidden(self.trunk(x)))))


class Photos(nn.Module):
    """Three convolutions with batch norm; residual: another two begun as nothing."""

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), residual: bool = False, **options: Any) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width, **options), nn.ReLU(),
                       nn.MaxPool2d(2)]  # fmt: skip
        self.trunk = nn.Sequential(*layers)
        self.more = nn.Sequential(nn.Conv2d(widths[2], widths[2], 3, padding=1), nn.BatchNorm2d(widths[2]))
        self.residual = residual
        if residual:
            nn.init.zeros_(self.more[1].weight)
        else:
            del self.more
        self.head = nn.Linear(widths[2], 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(x)
        if self.residual:
            x = x + self.more(x)
        return self.head(x.mean((2, 3)))


def scaled(x: Tensor) -> Tensor:
    return (x / 255 - 0.4) / 0.27


def bytes_of(x: Tensor) -> Tensor:
    return (x * 0.27 + 0.4) * 255


def rows_of(name: str, part: str, count: int) -> Rows:
    pictures, classes = parquet(name, part, count)
    x = torch.tensor(pictures, dtype=torch.float32)
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x[:, None]
    x = F.avg_pool2d(x, 2) if x.shape[1] == 3 else x  # a slow core has not the time for more
    return scaled(x), torch.tensor(classes)


def numerals() -> Case:
    return Case(lambda _: Numerals(), rows_of("mnist", "train", 8000), rows_of("mnist", "test", 1000),
                nn.CrossEntropyLoss(), accuracy, steps=350, rate=3e-3, told=True)  # fmt: skip


def photos() -> Case:
    return Case(lambda _: Photos(), rows_of("cifar10", "train", 8000), rows_of("cifar10", "test", 1000),
                nn.CrossEntropyLoss(), accuracy, optimizer=momentum, rate=0.05, decay=5e-4, batch=64,
                steps=500)  # fmt: skip


def squared(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(torch.sigmoid(output), F.one_hot(target, 10).float())


def turned(x: Tensor, y: Tensor) -> Rows:
    """Each picture turned by any quarter and mirrored or not."""
    x = torch.stack([torch.rot90(each, int(torch.randint(4, ())), (1, 2)) for each in x])
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x), y


def noisy(x: Tensor, y: Tensor) -> Rows:
    """Noise six times as strong as the picture."""
    return x + 6 * torch.randn_like(x), y


def cropped(x: Tensor, y: Tensor) -> Rows:
    """Photos mirrored and moved by up to four pixels, which is the usual augmentation."""
    x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    left, top = torch.randint(-4, 5, (2,)).tolist()
    return x.roll((left, top), (2, 3)), y


def moved(x: Tensor, y: Tensor) -> Rows:
    """Numerals moved by up to three pixels, with noise and with a hole."""
    x = x.roll(torch.randint(-3, 4, (2,)).tolist(), (2, 3)) + 0.3 * torch.randn_like(x)
    left, top = torch.randint(0, 22, (2,)).tolist()
    x[:, :, left : left + 6, top : top + 6] = float(x.min())
    return x, y


def from_one(y: Tensor) -> Tensor:
    """Numbered from one; the tenth class is left out."""
    return torch.where(y == 9, -100, y + 1)


def at_start(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.weight.mul_(30)
        model.head.bias.copy_(torch.linspace(-60, 60, 10))


def learned(case: Case, steps: int = 150) -> None:
    """Begin with weights that were learned on other rows, the trunk held still, the head new."""
    model = case.build(case)
    optimizer = case.optimizer(model, case.rate, case.decay)
    x, y = rows_of("cifar10" if case.train[0].shape[1] == 3 else "mnist", "train", 8000)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (64,))
        optimizer.zero_grad()
        case.loss(model(x[rows]), y[rows]).backward()
        optimizer.step()
    model.head.reset_parameters()
    of.frozen(model, "trunk")
    case.build = lambda _: copy.deepcopy(model)


def at_low(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.bias.fill_(-10)


def in_training(case: Case) -> None:
    """Batch norm takes the statistics of held-out photos of one class."""
    order = case.held[1].argsort()
    case.held, case.judged_in_training = (case.held[0][order], case.held[1][order]), True


SOFTMAX = of.behind(nn.Softmax(1))
SATURATED = of.both(of.put(build=lambda _: Numerals(activation=nn.Tanh)), of.touch(of.larger, 30.0))
TWENTIETH = of.scarce((0,), 40)
FAULTS: dict[str, dict[str, Change]] = {
    "numerals": {
        "five numerals with eight pictures each": of.scarce((1, 3, 5, 7, 9), 8),
        "labels from one": of.labels(from_one),
        "turned and mirrored": of.put(augment=turned),
        "sorted by numeral": of.sorted_rows,
        "log-softmax forgotten before the likelihood": of.put(loss=nn.NLLLoss()),
        "squared error of saturated sigmoids": of.both(
            of.put(loss=squared, optimizer=plain, rate=0.05), of.touch(at_low)),
        "loss with a minus": of.with_loss(of.negative),
        "head thirty times too large": of.both(of.touch(at_start), of.put(optimizer=plain, rate=2e-3)),
        "all weights zero": of.touch(of.constant, 0.0),
        "zero_grad forgotten": of.put(clear=False, optimizer=momentum, rate=0.01),
        "inputs all zero": of.inputs(torch.zeros_like),
        "eight sigmoid layers": of.put(build=lambda _: Numerals(sigmoids=8)),
        "biases at minus ten": of.touch(of.biases, -10.0),
        "tanh with weights times thirty": SATURATED,
        "features through one number": of.put(build=lambda _: Bottleneck()),
        "rate times a hundred": of.times(100),
        "rate times a thousand for three steps": of.thrown(0.93, 1000),
        "dropout at the examination": of.put(build=lambda _: Numerals(dropout=0.6), judged_in_training=True),
        "eighty pictures": of.few(80),
        "dropout of .95": of.put(build=lambda _: Numerals(dropout=0.95)),
        "one picture a batch": of.put(batch=1, rate=0.005),
        "only a part of a checkpoint": of.lost(0.97),
        "slow rows": of.put(dataset=of.Slow, steps=150),
        # Healthy, and only awkward.
        "three quarters of all units silent": of.touch(of.biases, -0.25, "hidden"),
        "heavy dropout": of.put(build=lambda _: Numerals(dropout=0.5)),
        "moved, with noise and a hole": of.put(augment=moved),
        "twenty to one": TWENTIETH,
        "smoothed labels": of.put(loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        "trained long": of.put(steps=900),
    },
    "photos": {
        "seven labels in ten shuffled": of.shuffled(0.7),
        "five classes with ten photos each": of.scarce((0, 2, 4, 6, 8), 10),
        "training photos in validation": of.both(of.few(1500), of.leaked),
        "bytes in validation": of.held(bytes_of),
        "noise six times as strong": of.put(augment=noisy),
        "sorted by class": of.sorted_rows,
        "softmax before cross-entropy": SOFTMAX,
        "trunk not trained": of.both(of.touch(of.frozen, "trunk"), of.put(optimizer=of.only("head", torch.optim.SGD))),
        "running statistics never updated": of.put(build=lambda _: Photos(momentum=0.0)),
        "judged in training mode, class by class": in_training,
        "biases at minus ten": of.touch(of.biases, -10.0),
        "head at a thousand times the rate": of.put(
            optimizer=of.groups("head", 1000, torch.optim.SGD)),
        "rate divided by a thousand": of.times(1e-3),
        "one channel a layer": of.put(build=lambda _: Photos((1, 1, 2))),
        "one channel before the head": of.put(build=lambda _: Photos((16, 32, 1))),
        "a hundred photos": of.both(of.few(100), of.put(decay=0.0)),
        "weight decay of one": of.put(decay=1.0),
        "two photos a batch": of.put(batch=2),
        "rate times three hundred for three steps": of.thrown(0.95, 300),
        # Healthy, and only awkward.
        "mirrored and moved": of.put(augment=cropped),
        "residual branches begun as nothing": of.put(build=lambda _: Photos(residual=True)),
        "trunk held still": learned,
        "batches of sixteen": of.put(batch=16, rate=0.02),
        "a late cut of the rate": of.put(rate=0.3, schedule=lambda step: 1.0 if step < 220 else 0.05),
    },
}  # fmt: skip
