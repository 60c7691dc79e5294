"""Texts to a matrix of how much each word and word pair weighs in them, for the linear model beside a network."""

from collections.abc import Callable
from typing import Any

import numpy as np

from trainwell.data import Source
from trainwell.data.tokens import joined

FEATURES = 200_000


def word_weights(source: Source, train: np.ndarray, columns: list[str]) -> Callable[[np.ndarray], Any]:
    """A function from rows to TF-IDF weights of words and pairs, fitted on the training rows. Sparck Jones 1972."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=FEATURES, sublinear_tf=True)
    weights.fit(joined(source.frame[train], columns))
    return lambda rows: weights.transform(joined(source.frame[rows], columns))
