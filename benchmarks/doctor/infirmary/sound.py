"""Digits as they are spoken: convolutions over the moments of a spectrogram, and a VAE of single moments."""

from functools import cache, partial

import torch
from benchmarks.doctor.harness import changes as of
from benchmarks.doctor.harness.case import Case, Change, Rows, accuracy
from benchmarks.doctor.harness.codes import Outputs, divergence
from benchmarks.doctor.loops.reading import recordings
from torch import Tensor, nn


@cache
def powers() -> tuple[Tensor, Tensor, Tensor]:
    """Power in 64 bands at 36 moments (rows, 64, 36), the digit, and which five of a speaker's takes are held out."""
    names, signals = recordings()
    sounds = torch.zeros(len(signals), 4608)
    for row, signal in enumerate(signals):
        sounds[row, : min(len(signal), 4608)] = torch.tensor(signal[:4608])
    window = torch.hann_window(256)
    bands = torch.stft(sounds, 256, 128, window=window, center=False, return_complex=True).abs().square()
    x = (bands[:, 1:129:2] + bands[:, 2:129:2]) / 2
    digits = torch.tensor([int(name.split("_")[0]) for name in names])
    return x, digits, torch.tensor([int(name.split("_")[2]) < 5 for name in names])


class Ear(nn.Module):
    """Three convolutions over time, and a head on the mean over moments."""

    def __init__(self, width: int = 48, dropout: float = 0.0, deep: int = 0,
                 activation: type[nn.Module] = nn.ReLU) -> None:  # fmt: skip
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv1d(64, width, 5, 2, 2), activation(), nn.Conv1d(width, width, 3, 1, 1), activation(),
            nn.Conv1d(width, width, 3, 2, 1), activation(),
            *(each for _ in range(deep) for each in (nn.Conv1d(width, width, 3, 1, 1), activation())),
        )  # fmt: skip
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.trunk(self.dropout(x)).mean(2)))


def loudness(least: float = 1e-6) -> Tensor:
    return torch.log(powers()[0] + least)


def of_moments(x: Tensor) -> tuple[Rows, Rows]:
    """Bands standardised by those of the training rows, and the digits, in any order."""
    _, y, apart = powers()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    x, y, apart = x[order], y[order], apart[order]
    x = (x - x[~apart].mean((0, 2), keepdim=True)) / x[~apart].std((0, 2), keepdim=True)
    return (x[~apart], y[~apart]), (x[apart], y[apart])


def spoken() -> Case:
    return Case(lambda _: Ear(), *of_moments(loudness()), nn.CrossEntropyLoss(), accuracy, rate=2e-3, batch=32,
                steps=350, told=True)  # fmt: skip


def raw_held(case: Case) -> None:
    """Held-out sounds as power, not as loudness."""
    case.held = (powers()[0][powers()[2]], powers()[1][powers()[2]])


def bands_moved(x: Tensor, y: Tensor) -> Rows:
    """Each sound is put into other bands and played from its end in one case of two."""
    x = torch.stack([each.roll(int(torch.randint(64, ())), 0) for each in x])
    return torch.where(torch.rand(len(x), 1, 1) < 0.5, x.flip(2), x), y


def hissing(x: Tensor, y: Tensor) -> Rows:
    """Louder or softer, begun earlier or later, with hiss and some bands missing."""
    x = x.roll(int(torch.randint(-2, 3, ())), 2) + 0.2 * torch.randn(len(x), 1, 1) + 0.2 * torch.randn_like(x)
    first = int(torch.randint(0, 58, ()))
    x[:, first : first + 4] = 0
    return x, y


def lost(x: Tensor) -> Tensor:
    """One recording in a hundred was cut by a broken reader."""
    x = x.clone()
    x[torch.rand(len(x)) < 0.01, :, -4:] = float("nan")
    return x


def alike(model: nn.Module) -> None:
    """All weights of a layer one number."""
    of.constant(model, 0.01)


def silence(case: Case) -> None:
    """The logarithm of a power of nought, standardised by what is heard."""
    x = (loudness(0.0) + 7) / 4
    case.train, case.held = ((x[rows], powers()[1][rows]) for rows in (~powers()[2], powers()[2]))


class Moments(nn.Module):
    """A moment's 64 bands to bands, means and log-variances."""

    def __init__(self, width: int = 96, code: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.Tanh(), nn.Linear(width, 64))

    def forward(self, x: Tensor) -> Outputs:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance) if self.training else mean
        return self.decoder(code), mean, log_variance


def bound(outputs: Outputs, x: Tensor, weight: float = 1.0) -> Tensor:
    """Squared error of bands with a deviation of a half, and the divergence, in nats."""
    return 2 * (outputs[0] - x).square().sum(-1).mean() + weight * divergence(outputs)


def averaged(outputs: Outputs, x: Tensor) -> Tensor:
    """The mean over bands beside the sum over the code."""
    return nn.functional.mse_loss(outputs[0], x) + divergence(outputs)


def saved(outputs: Outputs, x: Tensor) -> float:
    """Share of the mean moment's nats that the bound saves."""
    return float(1 - bound(outputs, x) / (2 * (x - x.mean(0)).square().sum(-1).mean()))


def moments() -> Case:
    """Moments without their loudness, by which alone half of all could be told."""
    (x, _), (y, _) = of_moments(loudness())
    x, y = (each.permute(0, 2, 1)[:, ::4].reshape(-1, 64) for each in (x, y))
    x, y = (each - each.mean(1, keepdim=True) for each in (x, y))
    return Case(lambda _: Moments(), (x, x), (y, y), bound, saved, "saved", rate=3e-3, steps=400,
                numbers=lambda outputs: {"kl": float(divergence(outputs).detach())})  # fmt: skip


FAULTS: dict[str, dict[str, Change]] = {
    "spoken": {
        "recordings cut by a broken reader": of.inputs(lost),
        "power in validation": raw_held,
        "bands moved and played from the end": of.put(augment=bands_moved),
        "five digits with five recordings each": of.scarce((0, 2, 4, 6, 8), 5),
        "sorted by digit": of.sorted_rows,
        "weights all one number": of.touch(alike),
        "eight more layers, all sigmoids": of.put(build=lambda _: Ear(deep=8, activation=nn.Sigmoid)),
        "biases at minus ten": of.touch(of.biases, -10.0),
        "logarithm of silence": silence,
        "rate cut by a tenth at each step": of.put(schedule=lambda step: 0.9**step),
        "rate times two thousand for four steps": of.thrown(0.95, 2000, 4),
        "two channels a layer": of.put(build=lambda _: Ear(width=2)),
        "forty recordings": of.few(40),
        "nineteen in twenty dropped": of.put(build=lambda _: Ear(dropout=0.95)),
        "a checkpoint without weights": of.lost(0.97),
        # Healthy, and only awkward.
        "hiss, other loudness and missing bands": of.put(augment=hissing, steps=800),
        "warm-up over a third": of.put(schedule=of.warm(115)),
        "batches of eight": of.put(batch=8, rate=1.5e-3, steps=1400),
    },
    "moments": {
        "divergence times two hundred": of.put(loss=partial(bound, weight=200.0)),
        "mean over bands, sum over the code": of.put(loss=averaged),
        "rate times a hundred": of.times(100),
        "float16 weights": of.half,
        # Healthy, and only awkward.
        "a rate that falls to a tenth": of.put(schedule=lambda step: 0.1 ** (step / 400)),
    },
}  # fmt: skip
