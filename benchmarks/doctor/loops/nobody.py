"""Nobody who watches: takes the doctor's calls and does nothing, so that a loop can be run alone."""

from typing import Any


class Nobody:
    """A stand-in with the doctor's methods."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        self.findings: list[Any] = []
        self.history: list[Any] = []

    def watch(self, *parts: Any, **numbers: Any) -> None:
        pass

    def evaluated(self, **metrics: float) -> None:
        pass

    def generated(self, fake: Any, real: Any) -> None:
        pass

    def close(self) -> None:
        pass
