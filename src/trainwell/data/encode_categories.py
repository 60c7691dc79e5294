"""Category columns to integer codes: 0 is missing, unknown or rare, then the levels, the commonest first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trainwell.data.schema import Column
from trainwell.data.values import as_text

WIDEST = 50  # levels up to which a column becomes one number a level


@dataclass
class CategoryEncoder:
    """Levels fitted on training rows.

    encode: frame -> (rows, columns) int64. one_hot: frame -> (rows, features) float32.
    """

    columns: list[str]
    levels: list[list[str]]
    shares: list[list[float]]  # of training rows, by level

    @classmethod
    def fit(cls, frame: pl.DataFrame, columns: list[Column], rare: int) -> "CategoryEncoder":
        """Fit on a frame of training rows; levels of fewer than `rare` rows share code 0 with the unknown."""
        levels, shares = [], []
        for column in columns:
            counts = as_text(frame[column.name]).drop_nulls().alias("level").value_counts()
            counts = counts.filter(pl.col("count") >= rare).sort(["count", "level"], descending=[True, False])
            levels.append(counts["level"].to_list())
            shares.append((counts["count"] / max(frame.height, 1)).to_list())
        return cls([column.name for column in columns], levels, shares)

    @property
    def cardinalities(self) -> list[int]:
        """How many codes each column has, 0 among them."""
        return [len(levels) + 1 for levels in self.levels]

    @property
    def width(self) -> int:
        """How many numbers `one_hot` gives."""
        return sum(len(levels) if len(levels) <= WIDEST else 1 for levels in self.levels)

    @property
    def names(self) -> list[str]:
        """What each number of `one_hot` stands for."""
        names: list[str] = []
        for column, levels in zip(self.columns, self.levels, strict=True):
            names += [f"{column}={level}" for level in levels] if len(levels) <= WIDEST else [f"{column} share"]
        return names

    def encode(self, frame: pl.DataFrame) -> np.ndarray:
        """frame -> (rows, columns) int64."""
        codes = np.zeros((frame.height, len(self.columns)), dtype=np.int64)
        for place, (name, levels) in enumerate(zip(self.columns, self.levels, strict=True)):
            if levels:
                known = as_text(frame[name]).cast(pl.Enum(levels), strict=False).to_physical()
                codes[:, place] = (known.cast(pl.Int64) + 1).fill_null(0).to_numpy()
        return codes

    def one_hot(self, frame: pl.DataFrame) -> np.ndarray:
        """frame -> (rows, features) float32: one number a level, or the level's share of training rows beyond 50."""
        codes = self.encode(frame)
        parts = [np.zeros((frame.height, 0), dtype=np.float32)]
        for place, (levels, shares) in enumerate(zip(self.levels, self.shares, strict=True)):
            if len(levels) <= WIDEST:
                parts.append(np.eye(len(levels) + 1, dtype=np.float32)[codes[:, place]][:, 1:])
            else:
                # Shares span powers of ten: their logarithm, from 0 for unknown to 1 for the commonest level.
                table = np.log1p(np.array([0.0, *shares]) * 1e4)
                parts.append((table / table.max())[codes[:, place], None].astype(np.float32))
        return np.concatenate(parts, axis=1)

    def decode(self, encoded: np.ndarray) -> list[list[str | None]]:
        """(rows, features) as `one_hot` gives them -> the likeliest level by column and row, None for none of them."""
        found: list[list[str | None]] = []
        start = 0
        for levels, shares in zip(self.levels, self.shares, strict=True):
            width = len(levels) if len(levels) <= WIDEST else 1
            part, start = encoded[:, start : start + width], start + width
            if not levels:
                found.append([None] * len(encoded))
                continue
            if len(levels) <= WIDEST:
                scores = np.concatenate([1 - part.sum(1, keepdims=True), part], axis=1)
            else:  # the level that is about as common as the number says
                table = np.log1p(np.array([0.0, *shares]) * 1e4)
                scores = -np.abs(part - (table / table.max())[None])
            names = [None, *levels]
            found.append([names[place] for place in scores.argmax(1)])
        return found

    def save(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"columns": self.columns, "levels": self.levels, "shares": self.shares}
