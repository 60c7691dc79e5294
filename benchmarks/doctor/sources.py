"""Further real data to tensors, for the fifth list: sounds, series, reviews, names, photos, shells, lesions, loans."""

import csv
import io
import math
import wave
from collections import Counter
from functools import cache

import numpy as np
import polars as pl
import torch
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import DATA, Parts
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

FRAMES, BANDS = 40, 24
KINDS = (1, 6, 7, 8)  # cars, frogs, horses, ships


def dealt(x: Tensor, y: Tensor, learned: int) -> Parts:
    """Rows in an order of chance, so many of them to learn from and the rest held out."""
    order = torch.randperm(len(x), generator=drawn(30))
    x, y = x[order], y[order]
    return x[:learned], y[:learned], x[learned:], y[learned:]


@cache
def recordings() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spoken digits: power by frame and band (rows, 40, 24), digit, place in the test or not, and speaker.

    In the order of the file names, which begin with the digit.
    """
    edges = torch.logspace(math.log10(2), math.log10(129), BANDS + 1).round().long()
    powers, digits, tests, speakers = [], [], [], []
    files = sorted((DATA / "fsdd" / "recordings").glob("*.wav"))
    people = sorted({file.stem.split("_")[1] for file in files})
    window = torch.hann_window(256)
    for file in files:
        digit, speaker, place = file.stem.split("_")
        with wave.open(str(file)) as sound:
            raw = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
        signal = torch.from_numpy(raw.astype(np.float32)) / 32768
        signal = F.pad(signal, (0, max(0, 5200 - len(signal))))[:5200]
        power = torch.stft(signal, 256, 128, window=window, return_complex=True).abs().square()[:, :FRAMES]
        sums = torch.cat([torch.zeros(1, FRAMES), power.cumsum(0)])
        low, high = edges[:-1] - 1, torch.maximum(edges[1:] - 1, edges[:-1])
        powers.append(((sums[high] - sums[low]) / (high - low)[:, None]).t())
        digits.append(int(digit))
        tests.append(int(place) < 5)
        speakers.append(people.index(speaker))
    return torch.stack(powers), torch.tensor(digits), torch.tensor(tests), torch.tensor(speakers)


def decibels(power: Tensor) -> Tensor:
    return 10 * (power + 1e-8).log10()


@cache
def sounds() -> Parts:
    """Standardized decibels, (rows, 40, 24), and the digit; 2,700 and 300 recordings."""
    power, digit, test, _ = recordings()
    x = decibels(power)
    x = (x - x[~test].mean((0, 1))) / x[~test].std((0, 1))
    return x[~test], digit[~test], x[test], digit[test]


@cache
def electricity() -> Tensor:
    """Seven series by the hour, in their own units."""
    with open(DATA / "ett" / "ETTh1.csv", encoding="utf-8") as file:
        table = list(csv.reader(file))[1:]
    return torch.tensor([[float(each) for each in row[1:]] for row in table])


def windows(series: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Two days of all series, (rows, 7, 48), and the last one's next six hours, (rows, 6)."""
    x = series[starts[:, None] + torch.arange(48)]
    return x.transpose(1, 2).contiguous(), series[starts[:, None] + torch.arange(48, 54), 6]


@cache
def hours() -> Parts:
    """Windows of the first twelve months to learn from, and of the four months after."""
    series = electricity()
    series = (series - series[:8640].mean(0)) / series[:8640].std(0)
    starts = torch.randperm(8640 - 54, generator=drawn(31))[:4000]
    later = 8640 + torch.arange(0, 2826, 3)
    return *windows(series, starts), *windows(series, later)


@cache
def sunspots() -> Parts:
    """Sixty months of roots of sunspot numbers, (rows, 60, 1), and the next one, (rows, 1)."""
    with open(DATA / "monthly-sunspots" / "monthly-sunspots.csv", encoding="utf-8") as file:
        series = torch.tensor([float(row[1]) for row in list(csv.reader(file))[1:]]).sqrt()
    series = (series - series[:2000].mean()) / series[:2000].std()
    x = series.unfold(0, 61, 1)
    return x[:1940, :60, None], x[:1940, 60:], x[2000:, :60, None], x[2000:, 60:]


@cache
def texts() -> tuple[list[list[str]], Tensor]:
    """Film reviews as words, those that praise first, in the order of their files."""
    found = [
        file.read_text(encoding="utf-8", errors="replace").split()
        for name in ("pos", "neg")
        for file in sorted((DATA / "review-polarity" / name).glob("*.txt"))
    ]
    return found, torch.tensor([1] * 1000 + [0] * 1000)


def coded(words: list[list[str]], vocabulary: dict[str, int], length: int) -> Tensor:
    """Codes, 1 for a word that is unknown, and zeros where a text is over: (rows, length)."""
    x = torch.zeros(len(words), length, dtype=torch.long)
    for row, each in enumerate(words):
        codes = [vocabulary.get(word, 1) for word in each[:length]]
        x[row, : len(codes)] = torch.tensor(codes)
    return x


@cache
def reviews() -> Parts:
    """The first 500 words at most of a review, coded, and whether it praises; 1,600 and 400."""
    words, praise = texts()
    order = torch.randperm(2000, generator=drawn(32)).tolist()
    counts = Counter(word for row in order[:1600] for word in sorted(set(words[row])))
    vocabulary = {word: code + 2 for code, (word, _) in enumerate(counts.most_common(3998))}
    x, y = coded([words[row] for row in order], vocabulary, 500), praise[order]
    return x[:1600], y[:1600], x[1600:], y[1600:]


@cache
def names() -> Parts:
    """First names by letter: (rows, 16), 0 in front of and behind a name, and the letter after each, -100 past it."""
    lines = (DATA / "names" / "names.txt").read_text(encoding="utf-8").split()
    lines = [lines[row] for row in torch.randperm(len(lines), generator=drawn(33))[:9000].tolist()]
    x, y = torch.zeros(len(lines), 16, dtype=torch.long), torch.full((len(lines), 16), -100)
    for row, name in enumerate(lines):
        codes = torch.tensor([ord(letter) - 96 for letter in name[:15]])
        x[row, 1 : len(codes) + 1], y[row, : len(codes)], y[row, len(codes)] = codes, codes, 0
    return x[:8000], y[:8000], x[8000:], y[8000:]


def pictures(folder: str, name: str, rows: int) -> tuple[Tensor, Tensor]:
    """Pixels of 0 to 1, (rows, channels, height, width), and labels."""
    frame = pl.read_parquet(DATA / folder / f"{name}.parquet").head(rows)
    if folder == "cifar10":
        frame = frame.filter(pl.col("label").is_in(KINDS))
    found = np.stack([np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in frame["image"]])
    x = torch.tensor(found, dtype=torch.float32) / 255
    return (x.permute(0, 3, 1, 2) if x.dim() == 4 else x[:, None]), torch.tensor(frame["label"].to_numpy())


@cache
def photos() -> Parts:
    """CIFAR-10's cars, frogs, horses and ships, some 3,200 and 800, halved to (rows, 3, 16, 16), standardized."""
    parts = []
    for name, rows in (("train", 8000), ("test", 2000)):
        x, y = pictures("cifar10", name, rows)
        parts += [F.avg_pool2d(x, 2), (y[:, None] == torch.tensor(KINDS)).long().argmax(1)]
    x, y, held_x, held_y = parts
    mean, spread = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    return (x - mean) / spread, y, (held_x - mean) / spread, held_y


@cache
def digits() -> Parts:
    """MNIST, 4,000 and 1,000, whole: (rows, 1, 28, 28), standardized."""
    x, y = pictures("mnist", "train", 4000)
    held_x, held_y = pictures("mnist", "test", 1000)
    return (x - 0.13) / 0.31, y, (held_x - 0.13) / 0.31, held_y


@cache
def inks() -> Parts:
    """The same halved, of 0 to 1 and flat, (rows, 196), and themselves as answers."""
    x, _, held_x, _ = digits()
    x, held_x = (F.avg_pool2d(each * 0.31 + 0.13, 2).flatten(1).clamp(0, 1) for each in (x, held_x))
    return x, x, held_x, held_x


@cache
def pairs() -> Parts:
    """Two halved digits, (rows, 2, 14, 14), and whether they are of one kind; 5,000 and 1,000 pairs."""
    whole, kind, held, held_kind = digits()
    parts: list[Tensor] = []
    for x, y, count, seed in ((whole, kind, 5000, 34), (held, held_kind, 1000, 35)):
        small, chance = F.avg_pool2d(x[:, 0], 2), drawn(seed)
        first = torch.randint(len(x), (count,), generator=chance)
        alike = torch.rand(count, generator=chance) < 0.5
        fits = (y[first][:, None] == y) == alike[:, None]
        second = torch.multinomial(fits.float(), 1, generator=chance)[:, 0]
        parts += [torch.stack([small[first], small[second]], 1), alike.long()]
    return parts[0], parts[1], parts[2], parts[3]


@cache
def shells() -> Parts:
    """Abalone: seven standardized measures, then sex as 0 to 2, (rows, 8); standardized rings, (rows, 1)."""
    with open(DATA / "abalone" / "abalone.csv", encoding="utf-8") as file:
        table = list(csv.reader(file))
    x = torch.tensor([[float(each) for each in row[1:8]] for row in table])
    sex = torch.tensor([["MFI".index(row[0])] for row in table])
    rings = torch.tensor([[float(row[8])] for row in table])
    x = torch.cat([(x - x.mean(0)) / x.std(0), sex.float()], 1)
    return dealt(x, (rings - rings.mean()) / rings.std(), 3300)


@cache
def lesions() -> Parts:
    """Mammography: six standardized numbers, and whether it is the rare kind, one in 43; of others held out, 930."""
    with open(DATA / "mammography" / "mammography.csv", encoding="utf-8") as file:
        table = list(csv.reader(file))
    x = torch.tensor([[float(each) for each in row[:6]] for row in table])
    y = torch.tensor([int("-" not in row[6]) for row in table])
    x, y, held_x, held_y = dealt((x - x.mean(0)) / x.std(0), y, 8000)
    keep = (held_y == 1) | ((held_y == 0).cumsum(0) <= 930)
    return x, y, held_x[keep], held_y[keep]


@cache
def loans() -> Parts:
    """German credit: seven standardized numbers and thirteen columns of codes, (rows, 20); whether it went bad."""
    with open(DATA / "german-credit" / "german.csv", encoding="utf-8") as file:
        table = [[each.strip("'\"") for each in row] for row in csv.reader(file)]
    columns = []
    numbers = [place for place in range(20) if all(row[place].isdigit() for row in table)]
    for place in numbers:
        column = torch.tensor([float(row[place]) for row in table])
        columns.append((column - column.mean()) / column.std())
    for place in set(range(20)) - set(numbers):
        kinds = sorted({row[place] for row in table})
        columns.append(torch.tensor([float(kinds.index(row[place])) for row in table]))
    return dealt(torch.stack(columns, 1), torch.tensor([int(row[20]) - 1 for row in table]), 750)
