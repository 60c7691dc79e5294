"""Source tokens and target tokens so far to scores of the next: recurrent encoder and decoder with attention.

Sutskever et al. 2014, arXiv:1409.3215; Bahdanau et al. 2014, arXiv:1409.0473.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.attention import AdditiveAttention
from trainwell.nn.recurrent import Recurrent


@dataclass
class DecoderState:
    """What decoding keeps between steps.

    hidden: (batch, width), memory: (batch, places, 2 width), keys: (batch, places, attention), mask as in forward
    """

    hidden: Tensor
    memory: Tensor
    keys: Tensor
    mask: Tensor | None

    def expand(self, count: int) -> None:
        """Make `count` equal rows of each row of the batch, side by side."""
        self.hidden, self.memory = self.hidden.repeat_interleave(count, 0), self.memory.repeat_interleave(count, 0)
        self.keys = self.keys.repeat_interleave(count, 0)
        self.mask = None if self.mask is None else self.mask.repeat_interleave(count, 0)

    def reorder(self, rows: Tensor) -> None:
        """Let row i go on from what row rows[i] holds; both come from one source. rows: (batch,) long"""
        self.hidden = self.hidden[rows]


class Seq2Seq(nn.Module):
    """A GRU both ways reads the source; a GRU writes the target and looks back by additive attention at every step.

    One embedding for source and target, and for the scores. Every target begins with token `start`.
    source: (batch, places) long, target: (batch, time) long, mask: (batch, places) bool, padding on the right, or None
    -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 256,
        depth: int = 1,
        dropout: float = 0.3,
        start: int = 1,
    ) -> None:
        super().__init__()
        self.start = start
        self.embedding = nn.Embedding(vocabulary, width)
        self.encoder = Recurrent(width, width, cell="gru", depth=depth, both_ways=True, dropout=dropout)
        self.bridge = nn.Linear(2 * width, width)
        self.attention = AdditiveAttention(width, 2 * width, width=width)
        self.cell = nn.GRUCell(3 * width, width)
        self.readout = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def encode(self, source: Tensor, mask: Tensor | None) -> DecoderState:
        """Read the source. source: (batch, places) long -> the state before the first target token"""
        if mask is not None:  # an empty row is read as one token
            mask = mask | (torch.arange(mask.shape[1], device=mask.device) == 0)
        memory = self.encoder(self.dropout(self.embedding(source)), mask)
        hidden = torch.tanh(self.bridge(self.encoder.last(memory, mask)))
        return DecoderState(hidden, memory, self.attention.key(memory), mask)

    def step(self, x: Tensor, state: DecoderState) -> Tensor:
        """Look back, move the state on and read out. x: (batch, width) -> (batch, width)"""
        context, _ = self.attention(state.hidden, state.memory, state.mask, state.keys)
        state.hidden = self.cell(torch.cat((x, context), dim=-1), state.hidden)
        return self.readout(self.dropout(torch.cat((state.hidden, context, x), dim=-1)))

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return F.linear(self.dropout(torch.tanh(states)), self.embedding.weight)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        state = self.encode(source, mask)
        x = self.dropout(self.embedding(target))
        return self.scores(torch.stack([self.step(step, state) for step in x.unbind(dim=1)], dim=1))

    def begin(
        self, source: Tensor, mask: Tensor | None = None, capacity: int = 0, start: int | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Read the source and score the first token of the target.

        source: (batch, places) long, mask: (batch, places) bool or None -> (batch, vocabulary) and the state
        """
        state = self.encode(source, mask)
        first = torch.full((source.shape[0],), self.start if start is None else start, device=source.device)
        return self.advance(first, state), state

    def advance(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Read one more token a row and score what comes next. tokens: (batch,) long -> (batch, vocabulary)"""
        return self.scores(self.step(self.embedding(tokens), state))
