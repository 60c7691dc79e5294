"""Sequences to states, one step after the other: RNN, LSTM and GRU cells written out, and fast layers of them."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Cell(nn.Module):
    """What the cells share: weights for the input and for the state, several gates stacked, named as in torch.

    The first draw is uniform within one over the root of the width, as torch's.

    x: (batch, inputs), state: one (batch, width) a memory -> (batch, width) and the new state
    """

    gates = 1
    memories = 1  # vectors that a step hands to the next

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs, self.width = inputs, width
        reach = 1.0 / math.sqrt(width)
        self.weight_ih = nn.Parameter(torch.empty(self.gates * width, inputs).uniform_(-reach, reach))
        self.weight_hh = nn.Parameter(torch.empty(self.gates * width, width).uniform_(-reach, reach))
        self.bias_ih = nn.Parameter(torch.empty(self.gates * width).uniform_(-reach, reach))
        self.bias_hh = nn.Parameter(torch.empty(self.gates * width).uniform_(-reach, reach))

    def start(self, x: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step: zeros. x: (batch, inputs) -> one (batch, width) a memory"""
        return tuple(x.new_zeros(x.shape[0], self.width) for _ in range(self.memories))


class RNNCell(Cell):
    """h = tanh(W x + U h + b). Elman 1990, "Finding structure in time".

    x: (batch, inputs), state: ((batch, width),) -> (batch, width) and the new state
    """

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        (h,) = state or self.start(x)
        h = torch.tanh(F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh))
        return h, (h,)


class LSTMCell(Cell):
    """A memory that gates let in, keep and let out. Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.

    x: (batch, inputs), state: (h, c), each (batch, width) -> (batch, width) and the new state
    """

    gates = 4
    memories = 2

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        h, c = state or self.start(x)
        z = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = z.chunk(4, dim=-1)  # input, forget, candidate, output
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, (h, c)


class GRUCell(Cell):
    """A state that one gate resets and another renews. Cho et al. 2014, arXiv:1406.1078.

    The reset gate acts after the state's own matrix, as in torch and cuDNN.
    x: (batch, inputs), state: ((batch, width),) -> (batch, width) and the new state
    """

    gates = 3

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        (h,) = state or self.start(x)
        xr, xz, xn = F.linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        hr, hz, hn = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        n = torch.tanh(xn + r * hn)
        h = (1 - z) * n + z * h
        return h, (h,)


def unroll(cell: Cell, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over time. x: (batch, time, inputs) -> (batch, time, width) and the last state"""
    outputs = []
    state = state or cell.start(x[:, 0])
    for step in x.unbind(dim=1):
        output, state = cell(step, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def reversed_rows(x: Tensor, mask: Tensor | None) -> Tensor:
    """Each row backwards; padding on the right stays where it is.

    x: (batch, time, width), mask: (batch, time) bool or None -> (batch, time, width)
    """
    if mask is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    length = mask.sum(dim=1, keepdim=True)
    source = torch.where(place < length, length - 1 - place, place)
    return x.gather(1, source.unsqueeze(-1).expand_as(x))


class Recurrent(nn.Module):
    """Layers of "rnn", "lstm" or "gru" by torch's kernels, forwards or both ways, blind to padding on the right.

    Both ways: Schuster & Paliwal 1997. Rows are turned round within their own length instead of being packed, so that
    oneDNN's kernels serve training too and the layer exports. x: (batch, time, inputs), mask: (batch, time) bool or
    None -> (batch, time, outputs), where outputs is the width, or twice the width both ways
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        cell: str = "lstm",
        depth: int = 1,
        both_ways: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if cell not in LAYERS:
            raise ValueError(f"no recurrent cell {cell!r}; known: {', '.join(LAYERS)}")
        self.outputs = width * (1 + both_ways)
        sizes = [inputs] + [self.outputs] * (depth - 1)
        self.forwards = nn.ModuleList(LAYERS[cell](size, width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(LAYERS[cell](size, width, batch_first=True) for size in sizes if both_ways)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for depth, layer in enumerate(self.forwards):
            x = self.dropout(x) if depth else x
            y, _ = layer(x)
            if len(self.backwards):
                back, _ = self.backwards[depth](reversed_rows(x, mask))
                y = torch.cat((y, reversed_rows(back, mask)), dim=-1)
            x = y
        return x

    def last(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The state after the whole row has been read, from either end. (batch, time, outputs) -> (batch, outputs)"""
        width = self.forwards[-1].hidden_size
        if mask is None:
            ends = outputs[:, -1]
        else:
            place = (mask.sum(dim=1) - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, outputs.shape[2])
            ends = outputs.gather(1, place).squeeze(1)
        return torch.cat((ends[:, :width], outputs[:, 0, width:]), dim=-1)

    def run(self, x: Tensor, mask: Tensor | None, states: list[Any]) -> tuple[Tensor, list[Any]]:
        """Go on from the states of an earlier call (an empty list at first), forwards only.

        Packs the rows, so that the states are those after the last token. x: (batch, time, inputs)
        -> (batch, time, width) and the new states, one a layer
        """
        new = []
        for depth, layer in enumerate(self.forwards):
            state = states[depth] if states else None
            x, state = packed(layer, x, mask, state)
            new.append(state)
        return x, new


def packed(layer: nn.Module, x: Tensor, mask: Tensor | None, state: Any = None) -> tuple[Tensor, Any]:
    """Run a torch layer over rows of unequal length by packing them; empty rows are read as one step of padding.

    x: (batch, time, inputs), mask: (batch, time) bool, padding on the right, or None
    -> (batch, time, outputs) and torch's last state
    """
    if mask is None:
        return layer(x, state)
    lengths = mask.sum(dim=1).clamp_min(1).cpu()
    rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, state = layer(rows, state)
    return pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])[0], state
