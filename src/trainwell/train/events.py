"""What happens in the loop to whoever listens: progress, the log, the doctor, a tracker."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

NAMES = ("start", "gradient", "step", "evaluate", "epoch", "checkpoint", "close", "end")


class Events:
    """Named moments of a training and the functions called at each.

    start(state), before the first step; gradient(state, player, loss), before an optimizer steps: a listener that
    returns False makes the loop skip that step; step(state, losses), after all players stepped; evaluate(state,
    metrics); epoch(state); checkpoint(state, path); close(state), however the training ended, by an error or Ctrl-C
    too; end(state), after one that ended well. A listener that takes a `state` may read all of it.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, list[Callable[..., Any]]] = {name: [] for name in NAMES}

    def on(self, name: str, listener: Callable[..., Any]) -> "Events":
        """Call the listener at each moment of this name; raises KeyError for a name that is not in NAMES."""
        self.listeners[name].append(listener)
        return self

    @contextlib.contextmanager
    def closing(self, *arguments: Any) -> Iterator[None]:
        """Emit "close" at the end of the block, even where an exception ends it."""
        try:
            yield
        finally:
            self.emit("close", *arguments)

    def emit(self, name: str, *arguments: Any) -> bool:
        """Call all listeners in the order they came; False if any of them returned False."""
        agreed = True
        for listener in self.listeners[name]:
            agreed = listener(*arguments) is not False and agreed
        return agreed
