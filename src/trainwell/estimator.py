"""trainwell as scikit-learn estimators, so that cross-validation, grid search and pipelines work with it."""

import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from trainwell.data.kinds import describe
from trainwell.data.schema import Column, Schema
from trainwell.fit import fit
from trainwell.load import Run
from trainwell.recipe import Recipe

TARGET = "target"


class _Estimator(BaseEstimator):
    """What the classifier and the regressor share: a matrix of numbers, NaN for a missing cell, to a fitted network."""

    def __init__(
        self,
        model: str | None = None,
        recipe: str | Path | Recipe | None = None,
        changes: list[str] | None = None,
        time: str | float | None = None,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.changes = changes
        self.time = time
        self.device = device
        self.seed = seed

    def _learn(self, x: np.ndarray, y: np.ndarray, target: Column, classes: list[str]) -> None:
        frame = _frame(x).with_columns(pl.Series(TARGET, y))
        columns = [describe(name, frame[name], "number") for name in frame.columns if name != TARGET]
        for column in columns:
            column.role = "input" if column.unique > 1 or column.missing else "ignored"
        if not any(column.role == "input" for column in columns):
            columns[0].role = "input"
        schema = Schema([*columns, target], len(y), "classify" if classes else "regress", classes)
        with tempfile.TemporaryDirectory() as folder:
            self.run_: Run = fit(
                frame, TARGET, model=self.model, recipe=self.recipe, changes=["split.test=0", *(self.changes or [])],
                time=self.time, out=folder, quiet=True, details=False, device=self.device, seed=self.seed,
                schema=schema,
            )  # fmt: skip

    def _answers(self, x: Any) -> dict[str, np.ndarray]:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, ensure_all_finite="allow-nan")
        return self.run_.answers(_frame(x))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class TrainwellClassifier(ClassifierMixin, _Estimator):
    """A network for rows of numbers and one of several classes, with scikit-learn's interface.

    changes: recipe changes, such as ["train.epochs=20"]; time: seconds or a text such as "5m".
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X (rows, columns) and y (rows,); raises ValueError for what cannot be learned."""
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}; at least two are needed to learn")
        classes = [str(code) for code in range(len(self.classes_))]
        counts = np.bincount(codes)
        target = Column(
            TARGET, "category", "target", "y", classes, unique=len(classes), facts={"smallest": int(counts.min())}
        )
        self._learn(X, np.array(classes)[codes], target, classes)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (rows, classes), in the order of `classes_`."""
        probability = self._answers(X)["probability"].astype(np.float64)
        return probability / probability.sum(1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row, (rows,)."""
        probability = self.predict_proba(X)
        return self.classes_[probability.argmax(1)]


class TrainwellRegressor(RegressorMixin, _Estimator):
    """A network for rows of numbers and a number each, with scikit-learn's interface.

    changes: recipe changes, such as ["train.epochs=20"]; time: seconds or a text such as "5m".
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X (rows, columns) and y (rows,); raises ValueError for what cannot be learned."""
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2, y_numeric=True)
        y = column_or_1d(y, warn=True).astype(np.float64)
        target = describe(TARGET, pl.Series(TARGET, y), "number")
        target.role = "target"
        self._learn(X, y, target, [])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """A number for each row, (rows,)."""
        return self._answers(X)["number"][:, 0].astype(np.float64)

    def quantiles(self, X: Any) -> dict[float, np.ndarray]:
        """The values with these shares below them, (rows,) each, of a task that tells them, such as quantile."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        return {share: values[:, 0] for share, values in self.run_.quantiles(_frame(X)).items()}


def _frame(x: np.ndarray) -> pl.DataFrame:
    """A matrix as a frame of float columns, named by their place."""
    x = np.asarray(x, dtype=np.float64)
    return pl.DataFrame({f"column_{number}": np.ascontiguousarray(x[:, number]) for number in range(x.shape[1])})
