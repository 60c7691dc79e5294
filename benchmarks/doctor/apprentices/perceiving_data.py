"""Real rows as the programs of this half begin with them, read once a process."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
from benchmarks.doctor.loops.reading import DATA, recordings
from PIL import Image
from torch import Tensor

DoctorOf = Callable[..., Any]


@cache
def census() -> tuple[Tensor, Tensor]:
    """Eight columns of the districts as they stand in the file, in a drawn order, and the price in 100,000 dollars."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv").drop_nulls()
    frame = frame.filter(pl.col("median_house_value") < 500_000).sample(fraction=1.0, shuffle=True, seed=15)
    raw = torch.tensor(frame[:, :9].to_numpy(), dtype=torch.float32)
    return raw[:, :8].contiguous(), raw[:, 8] / 1e5


@cache
def borrowers() -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Codes (1000, 13), numbers (1000, 7), whether it went badly (1000,), how many codes each column has."""
    frame = pl.read_csv(DATA / "german-credit" / "german.csv", has_header=False)
    frame = frame.sample(fraction=1.0, shuffle=True, seed=15)
    texts = [name for name in frame.columns if frame[name].dtype == pl.String]
    codes = [frame[name].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64) for name in texts]
    numbers = [name for name in frame.columns[:-1] if name not in texts]
    x = torch.tensor(frame.select(numbers).to_numpy(), dtype=torch.float32)
    bad = torch.tensor(frame[:, -1].to_numpy() == 2)
    return torch.tensor(np.stack(codes, 1)), x, bad.float(), [int(each.max()) + 1 for each in codes]


@cache
def spots() -> tuple[Tensor, Tensor]:
    """Six measures of 11,183 candidates in a drawn order, and whether it is one of the 260."""
    frame = pl.read_csv(DATA / "mammography" / "mammography.csv", has_header=False)
    frame = frame.sample(fraction=1.0, shuffle=True, seed=15)
    x = torch.tensor(frame[:, :-1].to_numpy().astype(np.float32))
    return x, torch.tensor([each.strip("'") == "1" for each in frame[:, -1]]).float()


@cache
def flowers() -> tuple[Tensor, Tensor]:
    """Four sizes of 150 flowers, standardised, in the file's order, and the kind."""
    frame = pl.read_csv(DATA / "iris" / "iris.csv", has_header=False)
    x = torch.tensor(frame[:, :4].to_numpy(), dtype=torch.float32)
    kinds = sorted(set(frame[:, 4]))
    return (x - x.mean(0)) / x.std(0), torch.tensor([kinds.index(each) for each in frame[:, 4]])


@cache
def loads() -> tuple[Tensor, Tensor]:
    """Hour, weekday, month (17,420, 3) and the seven series (17,420, 7) as they stand."""
    frame = pl.read_csv(DATA / "ett" / "ETTh1.csv", try_parse_dates=True)
    when = frame["date"]
    parts = (when.dt.hour(), when.dt.weekday() - 1, when.dt.month() - 1)
    series = torch.tensor(frame.drop("date").to_numpy(), dtype=torch.float32)
    return torch.tensor(np.stack([each.to_numpy().astype(np.int64) for each in parts], 1)), series


@cache
def smears() -> tuple[Tensor, Tensor]:
    """Blood smears (rows, 3, 48, 64) from 0 to 1 with one white cell each, and its box as shares of the picture."""
    photos, boxes = [], []
    for path in sorted((DATA / "bccd" / "Annotations").glob("*.xml")):
        tree = ET.parse(path).getroot()
        cells = [each for each in tree.iter("object") if each.findtext("name") == "WBC"]
        if len(cells) != 1:
            continue
        file = Image.open(DATA / "bccd" / "JPEGImages" / f"{path.stem}.jpg")
        file.draft("RGB", (160, 120))
        photos.append(np.asarray(file.convert("RGB").resize((64, 48)), dtype=np.float32) / 255)
        corners = [float(cells[0].findtext(f"bndbox/{each}") or 0) for each in ("xmin", "ymin", "xmax", "ymax")]
        boxes.append([corners[0] / 640, corners[1] / 480, corners[2] / 640, corners[3] / 480])
    order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(15))
    return torch.tensor(np.stack(photos)).permute(0, 3, 1, 2)[order].contiguous(), torch.tensor(boxes)[order]


@cache
def waves(length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples (3000, length) in the files' order, filled up with nought; length, digit, and whether it is held out."""
    names, signals = recordings()
    sound, long = torch.zeros(len(names), length), []
    for row, signal in enumerate(signals):
        long.append(min(len(signal), length))
        sound[row, : long[-1]] = torch.tensor(signal[:length])
    held = torch.tensor([int(each.split("_")[2]) < 5 for each in names])
    return sound, torch.tensor(long), torch.tensor([int(each[0]) for each in names]), held
