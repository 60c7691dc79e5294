"""Texts, pictures and games in the form that the composing programs begin with, read once a process."""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from benchmarks.doctor.loops.reading import DATA, parquet
from torch import Tensor
from torch.nn import functional as F

DoctorOf = Callable[..., Any]
TURNED = ("label-noise", "cannot-fit-one-batch", "underfitting", "plateau")


def chance(seed: int = 15) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def plays() -> Tensor:
    """Shakespeare as numbers of letters."""
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    number = {letter: place for place, letter in enumerate(sorted(set(text)))}
    return torch.tensor([number[letter] for letter in text])


@cache
def first_names() -> list[str]:
    """First names in an order drawn once."""
    names = (DATA / "names" / "names.txt").read_text(encoding="utf-8").split()
    return [names[place] for place in torch.randperm(len(names), generator=chance()).tolist()]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


@cache
def captions(part: str, language: str) -> list[list[str]]:
    """Words of the first 12,000 captions."""
    text = (DATA / "multi30k-en-de" / f"{part}.{language}.txt").read_text(encoding="utf-8")
    return [words_of(line) for line in text.splitlines()[:12000]]


def numbered(texts: list[list[str]], count: int, first: int) -> dict[str, int]:
    """The most frequent words by number, from `first` on."""
    found = Counter(word for text in texts for word in text)
    return {word: first + place for place, (word, _) in enumerate(found.most_common(count - first))}


def padded(texts: list[list[str]], number: dict[str, int], length: int, unknown: int) -> Tensor:
    """Numbers of words (texts, length), 0 behind the end."""
    rows = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        cut = [number.get(word, unknown) for word in text[:length]]
        row[: len(cut)] = torch.tensor(cut, dtype=torch.long)
    return rows


@cache
def passages() -> tuple[list[list[str]], Tensor]:
    """Pieces of 28 words of 48 articles, and which article, in an order drawn once."""
    articles = json.loads((DATA / "xquad-en" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    texts, topic = [], []
    for place, article in enumerate(articles):
        words = words_of(" ".join(each["context"] for each in article["paragraphs"]))
        for at in range(0, len(words) - 27, 28):
            texts.append(words[at : at + 28])
            topic.append(place)
    order = torch.randperm(len(texts), generator=chance())
    return [texts[place] for place in order.tolist()], torch.tensor(topic)[order]


@cache
def digits(part: str, count: int) -> tuple[Tensor, Tensor]:
    """Grey pictures from 0 to 1 (rows, 1, 28, 28) and the digit."""
    x, y = parquet("mnist", part, count)
    return torch.tensor(x, dtype=torch.float32)[:, None] / 255, torch.tensor(y)


@cache
def small_digits(part: str, count: int) -> Tensor:
    """Pictures from -1 to 1 (rows, 1, 14, 14)."""
    return F.avg_pool2d(digits(part, count)[0], 2) * 2 - 1


@cache
def axes() -> tuple[Tensor, Tensor]:
    """Mean and the first thirty axes of real small digits."""
    x = small_digits("test", 2000).flatten(1)
    return x.mean(0), torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][:30]


def likeness(made: Tensor) -> float:
    """1 less the Frechet distance to real digits along thirty axes, as a share of that of one grey blur."""
    mean, directions = axes()
    real = (small_digits("test", 2000).flatten(1) - mean) @ directions.T
    drawn = (made.detach().flatten(1).double() - mean) @ directions.T.double()
    if not bool(drawn.isfinite().all()):
        return -1.0
    one, two = torch.cov(real.T).double(), torch.cov(drawn.T)
    root = torch.linalg.eigvals(one @ two).real.clamp(min=0).sqrt().sum()
    distance = (real.mean(0) - drawn.mean(0)).square().sum() + one.trace() + two.trace() - 2 * root
    return 1 - float(distance / one.trace())
