"""Real rows in the form that each program begins with, read once a process."""

from functools import cache

import polars as pl
import torch
from benchmarks.doctor.loops.reading import DATA, parquet, recordings
from torch import Tensor


def chance(seed: int = 14) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard(x: Tensor, known: int) -> Tensor:
    """Columns by mean and deviation of the first rows."""
    return (x - x[:known].mean(0)) / x[:known].std(0)


@cache
def houses() -> tuple[Tensor, Tensor]:
    """Columns of 19,000 districts (rows, 8), as they are, and the price in 100,000 dollars; none that was capped."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop_nulls()
    frame = frame.filter(pl.col("median_house_value") < 500_000).sample(fraction=1.0, shuffle=True, seed=14)
    raw = torch.tensor(frame[:, :9].to_numpy(), dtype=torch.float32)
    place, age, rooms, beds, people, homes, income, value = raw[:, :2], *raw[:, 2:9].T
    columns = (age, (rooms / homes).log(), (beds / homes).log(), (people / homes).log(), homes.log(), income.log())
    return torch.cat((place, torch.stack(columns, 1)), 1), value / 1e5


@cache
def shells() -> tuple[Tensor, Tensor]:
    """Sex in two columns and seven sizes (rows, 9), standardised by the first 3,200 shells, and the rings."""
    frame = pl.read_csv(DATA / "abalone" / "abalone.csv", has_header=False).sample(fraction=1.0, shuffle=True, seed=14)
    sex = torch.tensor([[each == "M", each == "F"] for each in frame[:, 0]], dtype=torch.float32)
    sizes = torch.tensor(frame[:, 1:-1].to_numpy(), dtype=torch.float32)
    return standard(torch.cat((sex, sizes), 1), 3200), torch.tensor(frame[:, -1].to_numpy(), dtype=torch.float32)


@cache
def numerals(part: str, count: int) -> tuple[Tensor, Tensor]:
    """Grey pictures from 0 to 1 (rows, 1, 28, 28) and the numeral."""
    x, y = parquet("mnist", part, count)
    return torch.tensor(x, dtype=torch.float32)[:, None] / 255, torch.tensor(y)


@cache
def photos(part: str, count: int) -> tuple[Tensor, Tensor]:
    """Colour photos about nought (rows, 3, 32, 32) and the class."""
    x, y = parquet("cifar10", part, count)
    return (torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2) / 255 - 0.47) / 0.25, torch.tensor(y)


@cache
def transformer() -> Tensor:
    """Seven series of an electricity transformer by the hour (17,420, 7), standardised by the first year."""
    frame = pl.read_csv(DATA / "ett" / "ETTh1.csv").drop("date")
    return standard(torch.tensor(frame.to_numpy(), dtype=torch.float32), 8640)


@cache
def numbers(folder: str, file: str) -> Tensor:
    """The last column of a file with a header."""
    frame = pl.read_csv(DATA / folder / file, ignore_errors=True)
    return frame[:, -1].cast(pl.Float32, strict=False).fill_null(strategy="forward").to_torch()


@cache
def spoken() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logarithms of power (rows, 32 bands, 40 moments), standardised; digit, speaker, and whether held out."""
    names, signals = recordings()
    sound = torch.zeros(len(names), 5248)
    for row, signal in enumerate(signals):
        sound[row, : min(len(signal), 5248)] = torch.tensor(signal[:5248])
    power = torch.stft(sound, 256, 128, window=torch.hann_window(256), center=False, return_complex=True).abs().square()
    x = (power[:, 1:129].unflatten(1, (32, 4)).mean(2) + 1e-5).log()
    people = sorted({each.split("_")[1] for each in names})
    held = torch.tensor([int(each.split("_")[2]) < 5 for each in names])
    x = (x - x[~held].mean((0, 2), keepdim=True)) / x[~held].std((0, 2), keepdim=True)
    digit = torch.tensor([int(each[0]) for each in names])
    return x, digit, torch.tensor([people.index(each.split("_")[1]) for each in names]), held


@cache
def captions(part: str, language: str) -> list[list[str]]:
    """Words and signs of each caption, in capitals and small letters as they stand."""
    text = (DATA / "multi30k-en-de" / f"{part}.{language}.txt").read_text(encoding="utf-8")
    return [line.replace(".", " .").replace(",", " ,").split() for line in text.splitlines()]
