"""A name such as "digits" to examples that need no download: scikit-learn's small sets, Python's own source code."""

import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from trainwell.data.rows import Source, digest


def _source(name: str, frame: pl.DataFrame, hints: dict, arrays: dict[str, np.ndarray] | None = None) -> Source:
    arrays = arrays or {}
    return Source(name, frame, arrays, name, None, [], digest(frame, arrays), hints)


def digits() -> Source:
    """1,797 handwritten digits of 8 by 8 grey values; the 17 levels 0 to 16 are stretched to 0 to 255."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = np.rint(found.images * (255 / 16)).astype(np.uint8)
    labels = [str(label) for label in range(10)]
    hints = {"target": "label", "labels": labels, "kinds": {"image": "image"}}
    source = _source("digits", pl.DataFrame({"label": found.target}), hints, {"image": pictures})
    source.notes.append("grey levels 0 to 16 were stretched to 0 to 255")
    return source


def _table(name: str, loader: str, classes: bool) -> Source:
    from sklearn import datasets

    found = getattr(datasets, loader)()
    columns = {
        column.replace(" (cm)", "").replace(" ", "_"): found.data[:, place]
        for place, column in enumerate(found.feature_names)
    }
    hints: dict = {"target": "target"}
    target = found.target
    if classes:
        labels = [str(label) for label in found.target_names]
        target = [labels[code] for code in found.target]
        hints["labels"] = labels
    return _source(name, pl.DataFrame({**columns, "target": target}), hints)


def breast_cancer() -> Source:
    """569 tumours by 30 measures of their cell nuclei: malignant or benign."""
    return _table("breast-cancer", "load_breast_cancer", True)


def diabetes() -> Source:
    """442 patients by ten measures: how far their diabetes went in a year."""
    return _table("diabetes", "load_diabetes", False)


def wine() -> Source:
    """178 wines by 13 chemical measures: which of three growers."""
    return _table("wine", "load_wine", True)


def iris() -> Source:
    """150 flowers by four lengths: which of three species."""
    return _table("iris", "load_iris", True)


def stdlib_text() -> Source:
    """The source code of Python's own standard library, one module a row."""
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(path for path in root.glob("*.py")) + sorted(root.glob("[a-z]*/*.py"))
    left = ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "encodings")
    paths = [path for path in names if not any(part in left for part in path.relative_to(root).parts)]
    texts = [path.read_bytes().decode("utf-8", errors="replace") for path in paths]
    frame = pl.DataFrame({"text": [text for text in texts if text.strip()]})
    return _source("stdlib-text", frame, {"kinds": {"text": "text"}, "separator": "\n"})


SOURCES: dict[str, Callable[[], Source]] = {
    "digits": digits,
    "breast-cancer": breast_cancer,
    "diabetes": diabetes,
    "wine": wine,
    "iris": iris,
    "stdlib-text": stdlib_text,
}
