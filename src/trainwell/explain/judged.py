"""Drawn and held-out pictures to scores in the features of a judge: a trained classifier, or an Inception file."""

import hashlib
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
import torch
from torch import nn

from trainwell.data import Schema, Source, Transform
from trainwell.errors import InputError
from trainwell.explain.generated import interval
from trainwell.explain.generation import (
    FEWEST,
    Features,
    class_balance,
    classifier_features,
    copies,
    frechet_distance,
    precision_recall,
)

AT_ONCE = 500  # pictures that a judge looks at together
KNOWN = 10_000  # training pictures among which copies are looked for
SURE = 0.9  # a probability from which on a judge is sure of a class


class Judge(Protocol):
    """Who sees pictures: its name, the hash of its weights, and the classes that it tells apart, if any."""

    name: str
    sha256: str
    classes: list[str]

    def see(self, pictures: np.ndarray) -> Features:
        """pictures: (rows, channels, height, width) bytes -> what it makes of them"""


class ClassifierJudge:
    """A classifier that was trained on the same kind of pictures, as published scores have Inception. See `Judge`.

    Raises InputError for a run that does not tell classes of pictures.
    """

    def __init__(self, name: str, model: nn.Module, transform: Transform, schema: Schema) -> None:
        if transform.layout != "image" or schema.task != "classify":
            raise InputError(
                f"{name}: this run does not tell classes of pictures, so it cannot judge any; "
                "fit one on the same pictures: trainwell fit SOURCE"
            )
        self.name, self.model, self.transform = name, model.cpu(), transform
        self.classes = [str(each) for each in schema.classes]
        self.column = next(column.name for column in schema.columns if column.role == "input")
        weights = b"".join(each.cpu().numpy().tobytes() for each in model.state_dict().values())
        self.sha256 = hashlib.sha256(weights).hexdigest()

    def see(self, pictures: np.ndarray) -> Features:
        """Resized and scaled as the pictures that it learned from: (rows, channels, height, width) -> Features"""
        parts = []
        for start in range(0, len(pictures), AT_ONCE):
            block = pictures[start : start + AT_ONCE].transpose(0, 2, 3, 1)
            source = Source("drawn", pl.DataFrame(), arrays={self.column: np.ascontiguousarray(block)})
            x = self.transform.encode(source, with_target=False)["inputs"][0]
            parts.append(classifier_features(self.model, x, batch=AT_ONCE))
        return Features(*(np.concatenate(each) for each in zip(*parts, strict=True)))


class InceptionFile:
    """The Inception network of published distances, as a TorchScript file that resizes within. See `Judge`.

    It is called as `inception-2015-12-05.pt` of Karras et al. 2020, arXiv:2006.06676, is: with bytes in three colours
    and `return_features=True`. Raises InputError for a file that is none, or that answers otherwise.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; name a classifier's run folder or an Inception network in TorchScript"
            )
        self.name, self.classes = path.name, list[str]()
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch says that TorchScript is no longer developed
                self.network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from None

    @torch.inference_mode()
    def see(self, pictures: np.ndarray) -> Features:
        """(rows, channels, height, width) -> Features, of no classes"""
        parts = []
        for start in range(0, len(pictures), AT_ONCE // 10):
            block = torch.from_numpy(np.ascontiguousarray(pictures[start : start + AT_ONCE // 10]))
            try:
                found = self.network(block.expand(-1, 3, -1, -1).contiguous(), return_features=True)
            except RuntimeError as error:
                raise InputError(
                    f"{self.name}: expected a network that takes bytes in three colours and return_features=True; it "
                    f"says: {str(error).strip().splitlines()[-1]}"
                ) from None
            parts.append(found.flatten(1).double().numpy())
        features = np.concatenate(parts)
        return Features(features, np.zeros((len(features), 0), np.float32))


class Pictures(NamedTuple):
    """What is judged and what it is judged against, (rows, channels, height, width) bytes each.

    drawn; real: as many that were not learned from; known: those learned from, or None where none are at hand;
    asked: the class that each drawn one was asked to be, or None; truth: the class of each real one, or None
    """

    drawn: np.ndarray
    real: np.ndarray
    known: np.ndarray | None
    asked: list[str] | None
    truth: list[str] | None


def judged(judge: Judge, pictures: Pictures) -> dict[str, Any]:
    """Scores of drawn pictures, with the judge's name and hash, and the share of each class among them.

    frechet_distance, beside that of as many training pictures (`least_distance`): Heusel et al. 2017; precision and
    recall: Kynkaanniemi et al. 2019; copies: share nearer to a training picture than 95 % of held-out ones; sure: share
    whose class has a probability of 0.9; as_asked: share taken for the class that was asked for.

    Raises InputError under 100 drawn or real pictures.
    """
    count = len(pictures.drawn)
    if min(count, len(pictures.real)) < FEWEST:
        raise InputError(
            f"{count:,} drawn and {len(pictures.real):,} held-out pictures: a distance between them takes {FEWEST} each"
        )
    drawn, real = judge.see(pictures.drawn), judge.see(pictures.real)
    precision, recall = precision_recall(real.features, drawn.features)
    metrics: dict[str, Any] = {
        "frechet_distance": {"value": frechet_distance(real.features, drawn.features)},
        "precision": {"value": precision},
        "recall": {"value": recall},
    }
    told: dict[str, Any] = {"name": judge.name, "sha256": judge.sha256}
    found: dict[str, Any] = {"rows": count, "judge": told, "metrics": metrics}
    if pictures.known is not None:
        known = judge.see(pictures.known)
        usual = frechet_distance(real.features, known.features[: len(real.features)])
        found["least_distance"] = usual
        metrics["copies"] = {"value": copies(drawn.features, known.features, real.features).share}
    if judge.classes:
        balance = class_balance(drawn.probability, confident=SURE)
        metrics["sure"] = interval((drawn.probability.max(1) >= SURE).astype(float))
        found["shares"] = dict(zip(judge.classes, balance["shares"].tolist(), strict=True))
        told["sure_of_real"] = float((real.probability.max(1) >= SURE).mean())
        if pictures.truth is not None:
            told["right"] = float(_right(judge, real, pictures.truth).mean())
        if pictures.asked is not None and set(pictures.asked) <= set(judge.classes):
            metrics["as_asked"] = interval(_right(judge, drawn, pictures.asked))
    return found


def _right(judge: Judge, seen: Features, names: list[str]) -> np.ndarray:
    """Whether each picture is taken for the class of this name: (rows,) of 0 and 1."""
    guessed = np.array(judge.classes)[seen.probability.argmax(1)]
    return (guessed == np.array(names)).astype(float)
