"""Ctrl-C at any moment to KeyboardInterrupt between two batches, where a training can be saved and resumed exactly."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from trainwell.train.state import State


@contextlib.contextmanager
def at_a_boundary(state: State) -> Iterator[None]:
    """Inside the block the first Ctrl-C sets `state.interrupted`, which the loop heeds; a second one ends it at once.

    Nothing changes outside the main thread or where the program handles the signal itself.
    """
    state.interrupted = False
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield
        return

    def note(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        state.interrupted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except RuntimeError as error:  # worker processes get the signal too, and the loader reports that they are gone
        if state.interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, usual)
