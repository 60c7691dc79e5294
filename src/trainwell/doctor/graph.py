"""The graph behind a loss to how it was made: which loss, over which head, from tensors of which shapes.

Reads autograd's nodes, so it sees functions as well as modules, in any loop.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

SHAPES = {
    "ViewBackward0",
    "UnsafeViewBackward0",
    "ReshapeAliasBackward0",
    "SqueezeBackward0",
    "SqueezeBackward1",
    "SqueezeBackward2",
    "UnsqueezeBackward0",
    "ExpandBackward0",
    "TBackward0",
    "TransposeBackward0",
    "PermuteBackward0",
    "SliceBackward0",
    "SelectBackward0",
    "CloneBackward0",
    "ToCopyBackward0",
    "AliasBackward0",
    "IndexBackward0",
}
HEADS = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "log_sigmoid",
    "TanhBackward0": "tanh",
    "ReluBackward0": "relu",
    "LogBackward0": "log",
    "GeluBackward0": "gelu",
    "HardtanhBackward0": "hardtanh",
    "ClampBackward0": "clamp",
    "ClampMinBackward0": "clamp",
    "ClampBackward1": "clamp",
    "ExpBackward0": "exp",
    "SoftplusBackward0": "softplus",
    "SqrtBackward0": "sqrt",
}
WITH_WEIGHTS = ("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "NativeLayerNorm", "NativeBatchNorm")
LOSSES = {
    "NllLossBackward0": "nll",
    "NllLoss2DBackward0": "nll",
    "MseLossBackward0": "mse",
    "L1LossBackward0": "mae",
    "SmoothL1LossBackward0": "huber",
    "HuberLossBackward0": "huber",
    "BinaryCrossEntropyBackward0": "bce",
    "BinaryCrossEntropyWithLogitsBackward0": "bce_logits",
    "KlDivBackward0": "kl",
}


@dataclass
class Made:
    """One loss in the graph: its kind, the functions between it and the last layer, and what it compared."""

    kind: str
    chain: list[str] = field(default_factory=list)  # from the loss towards the inputs, as in ["softmax"]
    output: Tensor | None = None
    target: Tensor | None = None
    error: Tensor | None = None  # answers less targets, where the loop takes them from each other by itself
    compared: tuple[int, ...] = ()  # the shape after broadcasting, where it is known
    weight: Tensor | None = None  # of each class in the loss
    of_right: Tensor | None = None  # what answers of 1 weigh beside those of 0
    ignored: int | None = None  # the label that the loss leaves out
    over_rows: bool = False  # whether its softmax runs over the batch's rows, not over the classes
    plain: bool = False  # whether nothing else lies between the chain and a layer with weights

    @property
    def head(self) -> str:
        """The function that the loss was given the result of; "" for plain scores."""
        return self.chain[0] if self.chain else ""


def leaves_of(loss: Tensor) -> list[Tensor]:
    """The tensors that a loss would put gradients into."""
    found: list[Tensor] = []
    queue, seen = [loss.grad_fn], set()
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        queue += [each for each, _ in node.next_functions]
    return found


def losses_in(loss: Tensor, most: int = 60) -> list[Made]:
    """The losses that a scalar was made of, nearest first, looked for among so many nodes; empty if none is known."""
    found: list[Made] = []
    queue: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    while queue and len(seen) < most:
        node = queue.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        made = _made(node)
        if made is None:
            queue += [each for each, _ in node.next_functions]
        else:
            found.append(made)
    return found


def _made(node: Any) -> Made | None:
    """The loss that this node computes, or nothing."""
    name = node.name()
    before = node.next_functions[0][0] if node.next_functions else None
    if name in LOSSES:
        kind, (chain, plain) = LOSSES[name], _chain(before)
        made = Made(kind, chain, _saved(node, "_saved_self"), _saved(node, "_saved_target"), plain=plain)
        made.over_rows = _over_rows(before)
        if kind == "nll" and chain and chain[0] == "log_softmax":
            made.kind, made.chain = "cross_entropy", chain[1:]
        if kind == "bce_logits":
            made.of_right = _saved(node, "_saved_pos_weight")
        if kind == "nll":
            made.weight = _saved(node, "_saved_weight")
            ignored = getattr(node, "_saved_ignore_index", -100)
            made.ignored = ignored - 2**64 if ignored >= 2**63 else ignored  # autograd keeps it without a sign
        if made.output is not None and kind in ("mse", "mae", "huber", "bce", "bce_logits"):
            made.compared = tuple(made.output.shape)
        return made
    squared = name == "PowBackward0" and getattr(node, "_saved_exponent", 0) == 2
    squared = squared or (name == "MulBackward0" and _same_inputs(node))
    if (squared or name == "AbsBackward0") and before is not None and before.name() == "SubBackward0":
        error = _saved(node, "_saved_self")
        learned = [each for each, _ in before.next_functions if each is not None]
        if len(learned) != 1:
            return None  # a distance between two answers, as inside a network, is no error
        inner = learned[0]
        chain, plain = _chain(inner)
        compared = tuple(error.shape) if error is not None else ()
        return Made("mse" if squared else "mae", chain, compared=compared, plain=plain, error=error)
    return None


def _same_inputs(node: Any) -> bool:
    inputs = [each for each, _ in node.next_functions]
    return len(inputs) == 2 and inputs[0] is not None and inputs[0] is inputs[1]


def _chain(node: Any) -> tuple[list[str], bool]:
    """Names of the functions from a node towards the inputs, and whether one that has weights ends them."""
    chain: list[str] = []
    for _ in range(20):
        if node is None:
            break
        if node.name() in HEADS:
            chain.append(HEADS[node.name()])
        elif node.name() not in SHAPES:
            return chain, node.name().startswith(WITH_WEIGHTS)
        node = node.next_functions[0][0] if node.next_functions else None
    return chain, False


def _over_rows(node: Any) -> bool:
    """Whether the nearest softmax on the way to the network was taken along the first axis."""
    for _ in range(4):
        if node is None or (node.name() not in HEADS and node.name() not in SHAPES):
            return False
        if node.name() in ("SoftmaxBackward0", "LogSoftmaxBackward0"):
            result = _saved(node, "_saved_result")
            return getattr(node, "_saved_dim", 1) == 0 and result is not None and result.dim() > 1
        node = node.next_functions[0][0] if node.next_functions else None
    return False


def _saved(node: Any, name: str) -> Tensor | None:
    try:
        value = getattr(node, name, None)
    except RuntimeError:  # freed by the backward pass
        return None
    return value.detach() if isinstance(value, Tensor) else None
