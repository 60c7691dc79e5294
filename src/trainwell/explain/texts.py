"""The name of a task whose answers are texts to what predicts, judges and shows them."""

from typing import Any, Protocol

import numpy as np
import polars as pl

from trainwell.data import Source
from trainwell.explain.answering import Answering
from trainwell.explain.recognition import Recognition
from trainwell.explain.tagging import Tagging
from trainwell.explain.translation import Summary, Translation


class Work(Protocol):
    """What a run with texts for answers has to be able to say; `run` has model, task, transform and answers_to."""

    def frame(self, run: Any, source: Source) -> pl.DataFrame: ...

    def evaluate(self, run: Any, source: Source, rows: np.ndarray | None = None) -> dict[str, Any]: ...

    def baselines(self, run: Any, source: Source, known: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]: ...


TEXTS: dict[str, Work] = {
    "translate": Translation(),
    "summarize": Summary(),
    "tag": Tagging(),
    "answer": Answering(),
    "recognize": Recognition(),
}
