"""Whatever a loop calls its loss to one number, and to whether the graph that made it is let go of."""

import math
import weakref
from typing import Any

from torch import Tensor

from trainwell.doctor.series import Record

LATEST = 50  # steps after which a loop has no more use for a graph
BEFORE, MARKED = 4, 8  # steps back from the loss that are marked, and nodes in all


class Graphs:
    """Marks the graphs behind some losses, to see later whether they are still there.

    A mark hangs on the graph's last nodes as a hook that does nothing; it is gone once nobody holds the graph, be it by
    the loss itself, by a list of losses or by a sum of them, or by the answers that it was made from.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[int, weakref.ref[Any]]] = []

    def mark(self, step: int, loss: Any) -> None:
        """Mark the graph behind this loss, if there is one."""
        found = first(loss)
        if found is not None and found.grad_fn is not None and len(self.marks) < 1000:
            mark = _Mark()
            for node in _last_nodes(found.grad_fn):
                node.register_hook(mark)
            self.marks.append((step, weakref.ref(mark)))

    def count(self, record: Record, step: int) -> None:
        """Note how many of the graphs that are older than some steps are still held, and how many that is of all."""
        old = [mark() is not None for at, mark in self.marks if at <= step - LATEST]
        if old:
            record.add(step, "graphs held", "", sum(old))
            record.add(step, "share of graphs held", "", sum(old) / len(old))


def _last_nodes(last: Any) -> list[Any]:
    """The last node of a graph and some of those before it; not those of weights, which stay."""
    nodes = [last]
    for _ in range(BEFORE):
        before = [each for node in nodes[-2:] for each, _ in node.next_functions if each is not None]
        nodes += [each for each in before if "AccumulateGrad" not in each.name() and each not in nodes]
    return nodes[:MARKED]


class _Mark:
    """A hook that changes nothing."""

    def __call__(self, *gradients: Any) -> None:
        return None


def first(loss: Any) -> Tensor | None:
    """The first tensor in whatever a loop calls its loss."""
    if isinstance(loss, dict):
        loss = list(loss.values())
    if isinstance(loss, tuple | list):
        return first(loss[0]) if loss else None
    loss = loss if isinstance(loss, Tensor) else getattr(loss, "loss", None)
    return loss if isinstance(loss, Tensor) else None


def scalar(loss: Any) -> Tensor | float:
    """One number for whatever a loop calls its loss; on a device it stays there."""
    if isinstance(loss, Tensor):
        one = loss if loss.numel() == 1 else loss.detach().float().mean()
        return one.item() if one.is_cpu else one.detach()
    if isinstance(loss, dict):
        return sum(scalar(each) for each in loss.values())
    if isinstance(loss, tuple | list):
        return scalar(loss[0]) if loss else math.nan
    return scalar(loss.loss) if hasattr(loss, "loss") else float(loss)
