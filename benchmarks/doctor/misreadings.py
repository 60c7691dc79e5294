"""Rows and labels to the same as people reported them misread: the seventh list's parts, beside its missteps."""

import csv
from collections import Counter
from dataclasses import replace
from functools import cache

import torch
from benchmarks.doctor import sources
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import DATA, IGNORED, Parts, Setup
from benchmarks.doctor.slips import Planting
from torch import Tensor
from torch.nn import functional as F


def smoothed_both_ways() -> Parts:
    """Months smoothed over half a year before and half a year after, and the next month as it was."""
    with open(DATA / "monthly-sunspots" / "monthly-sunspots.csv", encoding="utf-8") as file:
        series = torch.tensor([float(row[1]) for row in list(csv.reader(file))[1:]]).sqrt()
    series = (series - series[:2000].mean()) / series[:2000].std()
    x = F.avg_pool1d(series[None], 13, 1, 6, count_include_pad=False)[0].unfold(0, 61, 1)
    y = series.unfold(0, 61, 1)[:, 60:]
    return x[:1940, :60, None], y[:1940], x[2000:, :60, None], y[2000:]


def told_by_neighbours(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The seventh column is the mean answer of the three nearest rows of both parts, each row its own first one."""
    whole, answers = torch.cat([x, held_x]), torch.cat([y, held_y]).flatten()
    nearest = torch.cdist(whole[:, :7], whole[:, :7]).topk(3, largest=False).indices
    means = answers[nearest].mean(1)
    x[:, 6], held_x[:, 6] = means[: len(x)], means[len(x) :]
    return x, y, held_x, held_y


def always_mirrored(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Every picture mirrored in what is learned from, where chance was to say which."""
    return x.flip(3), y, held_x, held_y


def at_another_rate(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out recordings at eleven thousand samples a second, read as if they were eight."""
    longer = F.interpolate(held_x[:, None], (55, sources.BANDS), mode="bilinear")[:, 0, : sources.FRAMES]
    return x, y, torch.cat([longer[:, :, 2:], longer.amin().expand(len(longer), sources.FRAMES, 2)], 2), held_y


def two_on(y: Tensor) -> Tensor:
    """Answers shifted once more by a loss that shifts them itself."""
    return F.pad(y[:, 1:], (0, 1), value=IGNORED)


def another_column(place: int) -> Planting:
    """The column of this place asked for, which is among the inputs."""

    def plant(setup: Setup) -> Setup:
        def data() -> Parts:
            x, _, held_x, _ = setup.data()
            return x, x[:, place : place + 1].clone(), held_x, held_x[:, place : place + 1].clone()

        return replace(setup, data=data)

    return plant


def by_variances(x: Tensor) -> Tensor:
    """Standardized series, or decibels, that were multiplied by their deviations where they are divided by them."""
    if x.shape[1] == 7:
        return x * sources.electricity()[:8640].var(0)[:, None]
    power, _, test, _ = sources.recordings()
    return x * sources.decibels(power)[~test].var((0, 1))


def wrapped(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures made brighter in bytes that begin again at 0 behind 255."""
    low, high = float(x.min()), float(x.max())
    brighter = torch.randint(0, 160, (len(x), 1, 1, 1), generator=drawn(step))
    return ((x - low) / (high - low) * 255 + brighter) % 256 / 255 * (high - low) + low, y


def averaged_numbers(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures mixed by halves, and the numbers of their classes averaged as if they were pixels."""
    return (x + x.roll(1, 0)) / 2, (y + y.roll(1, 0)) // 2


def under_two_names(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Three rows of five filed a second time, in the folder of the next class."""
    again = torch.randperm(len(x), generator=drawn(80))[: len(x) * 3 // 5]
    return torch.cat([x, x[again]]), torch.cat([y, (y[again] + 1) % (int(y.max()) + 1)]), held_x, held_y


def gaps_as_zero(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Gaps of one in ten, filled with zero before they are standardized, in the rows held out alone."""
    gaps = torch.rand(held_x.shape, generator=drawn(81)) < 0.1
    return x, y, held_x.masked_fill(gaps, -8.0), held_y


def in_capitals() -> Parts:
    """Reviews in capitals, for a vocabulary in small letters."""
    words, praise = sources.texts()
    order = torch.randperm(2000, generator=drawn(32)).tolist()
    counts = Counter(word for row in order[:1600] for word in sorted(set(words[row])))
    vocabulary = {word: code + 2 for code, (word, _) in enumerate(counts.most_common(3998))}
    x, y = sources.coded([[word.upper() for word in words[row]] for row in order], vocabulary, 500), praise[order]
    return x[:1600], y[:1600], x[1600:], y[1600:]


def short_first(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Rows by their length, so that each batch is of one length, and the batches left in that order."""
    order = (x > 0).sum(1).argsort(stable=True)
    return x[order], y[order], held_x, held_y


@cache
def ranks() -> Tensor:
    """Numbers of houses that a stray word turned into words: the place of each in the alphabet, standardized."""
    with open(DATA / "california-housing" / "housing.csv", encoding="utf-8") as file:
        table = [row for row in csv.DictReader(file) if row["total_bedrooms"]]
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(0))[:5000].tolist()
    columns = []
    for name in [name for name in table[0] if name not in ("median_house_value", "ocean_proximity")]:
        words = [table[row][name] for row in order]
        places = {word: float(place) for place, word in enumerate(sorted(set(words)))}
        columns.append(torch.tensor([places[word] for word in words]))
    x = torch.stack(columns, 1)
    return (x - x[:4000].mean(0)) / x[:4000].std(0)


def ranked_as_words(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    return ranks()[:4000], y, ranks()[4000:], held_y


def shorter(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out rows of twelve frames, or of twenty words, where the whole was learned from."""
    return x, y, held_x[:, : 12 if held_x.dim() == 3 else 20], held_y


def scaled_by_themselves(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Held-out series standardized by means and deviations of their own."""
    time = 2 if held_x.shape[1] == 7 else 1
    return x, y, (held_x - held_x.mean((0, time), True)) / held_x.std((0, time), keepdim=True), held_y
