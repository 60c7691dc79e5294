"""What happens in the loop to whoever listens: progress, the log, the doctor, a tracker."""

from collections.abc import Callable
from typing import Any

NAMES = ("start", "gradient", "step", "evaluate", "epoch", "checkpoint", "end")


class Events:
    """Named moments of a training and the functions called at each.

    start(state), before the first step; gradient(state, player, loss), before an optimizer steps: a listener that
    returns False makes the loop skip that step; step(state, losses), after all players stepped; evaluate(state,
    metrics); epoch(state); checkpoint(state, path); end(state). A listener that takes a `state` may read all of it.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, list[Callable[..., Any]]] = {name: [] for name in NAMES}

    def on(self, name: str, listener: Callable[..., Any]) -> "Events":
        """Call the listener at each moment of this name; raises KeyError for a name that is not in NAMES."""
        self.listeners[name].append(listener)
        return self

    def emit(self, name: str, *arguments: Any) -> bool:
        """Call all listeners in the order they came; False if any of them returned False."""
        agreed = True
        for listener in self.listeners[name]:
            agreed = listener(*arguments) is not False and agreed
        return agreed
