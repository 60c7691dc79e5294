"""Pictures decoded and augmented a second: ours, read ahead or held in memory, against torch's DataLoader with Pillow.

python benchmarks/reading.py FOLDER [--size 224] [--batch 64] [--workers 2] [--threads 1] [--epochs 10] [--rounds 5]
FOLDER holds JPEGs or PNGs, below it anywhere; an epoch reads them --repeat times. The DataLoader's items are made as
most people make them: opened, cut at random and enlarged by Pillow, mirrored, brightness and contrast changed by
Pillow, then floats. Ours decode to the size and cut, mirror and shade the whole batch as bytes; the network turns them
to floats. What differs: ours cuts out of the picture at its final size, so a cut is less sharp than one out of the
original. Rounds of the three alternate, so that all meet the same weather; medians and the spread are printed. "memory"
decodes once and then serves so many epochs. --threads are torch's own, beside the workers.
"""

import argparse
import random
import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image, ImageEnhance

from trainwell.data import Loader, PictureRows, Source, StreamingLoader
from trainwell.data.augment import Colour, Crop, Flip
from trainwell.data.encode_target import TargetEncoder
from trainwell.data.image import PictureEncoder
from trainwell.data.transform import Transform

ENDINGS = (".jpg", ".jpeg", ".png")
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Pictures(torch.utils.data.Dataset):
    """Pictures by Pillow, one at a time: cut at random, enlarged, mirrored, shaded, as floats."""

    def __init__(self, paths: list[str], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        picture = Image.open(self.paths[place]).convert("RGB")
        area, shape = random.uniform(0.35, 1.0), random.uniform(-1, 1)
        stretch = (4 / 3) ** (shape / 2)
        width = min(1.0, area**0.5 * stretch) * picture.width
        height = min(1.0, area**0.5 / stretch) * picture.height
        left, top = random.uniform(0, picture.width - width), random.uniform(0, picture.height - height)
        box = (left, top, left + width, top + height)
        picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture = ImageEnhance.Brightness(picture).enhance(random.uniform(0.8, 1.2))
        picture = ImageEnhance.Contrast(picture).enhance(random.uniform(0.8, 1.2))
        array = ((np.asarray(picture, dtype=np.float32) / 255 - MEAN) / DEVIATION).astype(np.float32)
        return torch.from_numpy(array.transpose(2, 0, 1).copy())


def augment(batch: dict) -> dict:
    """What the plan would do with a batch of photographs."""
    for step in (Crop(least=0.35), Flip(), Colour()):
        batch = step(batch)
    return batch


def theirs(paths: list[str], options: argparse.Namespace) -> float:
    """Pictures a second of a DataLoader."""
    loader = torch.utils.data.DataLoader(
        Pictures(paths, options.size), batch_size=options.batch, shuffle=True, num_workers=options.workers
    )
    began, seen = time.perf_counter(), 0
    for batch in loader:
        seen += len(batch)
    return seen / (time.perf_counter() - began)


def transform(paths: list[str], size: int) -> tuple[Transform, Source]:
    """Our transform for these pictures, and the source of them."""
    source = Source("pictures", pl.DataFrame({"image": paths}))
    pictures = PictureEncoder("image", size, size, 3)
    return Transform("image", TargetEncoder([], "reconstruct"), pictures=pictures), source


def ahead(paths: list[str], options: argparse.Namespace) -> float:
    """Pictures a second of ours, decoded by as many workers as the DataLoader has."""
    made, source = transform(paths, options.size)
    rows = PictureRows(made, source, np.arange(len(paths)))
    loader = StreamingLoader(rows, batch_size=options.batch, workers=options.workers, transform=augment)
    began, seen = time.perf_counter(), 0
    for batch in loader:
        seen += len(batch["row"])
    return seen / (time.perf_counter() - began)


def memory(paths: list[str], options: argparse.Namespace) -> float:
    """Pictures a second of ours over so many epochs, decoded into memory in the first; the decoding counts."""
    made, source = transform(paths, options.size)
    began, seen = time.perf_counter(), 0
    loader = Loader(made.encode(source, with_target=False), batch_size=options.batch, transform=augment)
    for epoch in range(options.epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            seen += len(batch["row"])
    return seen / (time.perf_counter() - began)


def main() -> None:
    """Run the rounds and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    paths = sorted(str(each) for each in options.folder.rglob("*") if each.suffix.lower() in ENDINGS) * options.repeat
    found: dict[str, list[float]] = {"DataLoader": [], "ahead": [], "memory": []}
    for _ in range(options.rounds):
        for name, run in (("DataLoader", theirs), ("ahead", ahead), ("memory", memory)):
            found[name].append(run(paths, options))
    for name, values in found.items():
        ratios = [ours / other for ours, other in zip(values, found["DataLoader"], strict=True)]
        print(
            f"{name}: {statistics.median(values):,.0f} pictures a second ({min(values):,.0f} to {max(values):,.0f}), "
            f"{statistics.median(ratios):.2f} times the DataLoader ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
