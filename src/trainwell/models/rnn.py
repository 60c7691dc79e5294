"""Tokens or a series, read step by step, to classes, tags, the next token or a forecast, by RNN, LSTM or GRU."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.embed import mean_of_tokens
from trainwell.nn.recurrent import Recurrent
from trainwell.nn.series import WindowNorm


class RecurrentClassifier(nn.Module):
    """A text to scores of its classes, from the last, the mean and the largest state.

    `cell` is "rnn", "lstm" or "gru".
    tokens: (batch, time) long, mask: (batch, time) bool, padding on the right, or None -> (batch, classes)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        cell: str = "lstm",
        width: int = 128,
        depth: int = 1,
        both_ways: bool = True,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = Recurrent(width, width, cell=cell, depth=depth, both_ways=both_ways, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(3 * self.recurrent.outputs, classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        states = self.recurrent(self.dropout(self.embedding(tokens)), mask)
        hidden = states if mask is None else states.masked_fill(~mask.unsqueeze(-1), -1.0)  # states lie in (-1, 1)
        pooled = (self.recurrent.last(states, mask), mean_of_tokens(states, mask), hidden.amax(dim=1))
        return self.head(self.dropout(torch.cat(pooled, dim=-1)))


class RecurrentTagger(nn.Module):
    """Each token to scores of its classes, from what stands on both sides. Huang et al. 2015, arXiv:1508.01991.

    tokens: (batch, time) long, mask: (batch, time) bool, padding on the right, or None -> (batch, time, classes)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        cell: str = "lstm",
        width: int = 128,
        depth: int = 1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = Recurrent(width, width, cell=cell, depth=depth, both_ways=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.recurrent.outputs, classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.head(self.dropout(self.recurrent(self.dropout(self.embedding(tokens)), mask)))


class RecurrentState:
    """What a recurrent language model keeps between steps: torch's state of each layer, (1, batch, width) tensors."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers

    def expand(self, count: int) -> None:
        """Make `count` equal rows of each row of the batch, side by side."""
        layer = self.layers[0]
        batch = (layer[0] if isinstance(layer, tuple) else layer).shape[1]
        self.reorder(torch.arange(batch).repeat_interleave(count))

    def reorder(self, rows: Tensor) -> None:
        """Let row i go on from what row rows[i] holds. rows: (batch,) long"""
        self.layers = [
            tuple(part[:, rows] for part in layer) if isinstance(layer, tuple) else layer[:, rows]
            for layer in self.layers
        ]


class RecurrentLanguageModel(nn.Module):
    """Tokens to scores of the next token, of any length. Mikolov et al. 2010, "Recurrent neural network based LM".

    tokens: (batch, time) long, mask: (batch, time) bool, padding on either side, or None -> (batch, time, vocabulary)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        cell: str = "lstm",
        width: int = 256,
        depth: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = Recurrent(width, width, cell=cell, depth=depth, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self.scores(self.recurrent(self.dropout(self.embedding(tokens))))
        order = tokens_first(mask)
        states = self.recurrent(self.dropout(self.embedding(tokens.gather(1, order))), mask.gather(1, order))
        return self.scores(states.gather(1, order.argsort(dim=1).unsqueeze(-1).expand_as(states)))

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the next token. states: (..., width) -> (..., vocabulary)"""
        return self.head(self.dropout(states))

    def begin(self, prompt: Tensor, mask: Tensor | None = None, capacity: int = 0) -> tuple[Tensor, RecurrentState]:
        """Read prompts and score what comes next. prompt: (batch, time) long -> (batch, vocabulary) and the state"""
        if mask is not None:
            order = tokens_first(mask)
            prompt, mask = prompt.gather(1, order), mask.gather(1, order)
        states, layers = self.recurrent.run(self.embedding(prompt), mask, [])
        return self.scores(self.recurrent.last(states, mask)), RecurrentState(layers)

    def advance(self, tokens: Tensor, state: RecurrentState) -> Tensor:
        """Read one more token a row and score what comes next. tokens: (batch,) long -> (batch, vocabulary)"""
        states, state.layers = self.recurrent.run(self.embedding(tokens.unsqueeze(1)), None, state.layers)
        return self.scores(states[:, 0])


def tokens_first(mask: Tensor) -> Tensor:
    """Places in the order that moves padding to the right and keeps the tokens' own. mask: (batch, time) -> long"""
    return (~mask).to(torch.uint8).argsort(dim=1, stable=True)


class RecurrentForecaster(nn.Module):
    """A standardized window of all channels, read step by step, to all steps of the horizon at once.

    x: (batch, lookback, channels) -> (batch, horizon, channels)
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        lookback: int = 96,
        cell: str = "gru",
        width: int = 64,
        depth: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.horizon, self.lookback = channels, horizon, lookback
        self.norm = WindowNorm()
        self.recurrent = Recurrent(channels, width, cell=cell, depth=depth, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, horizon * channels)

    def forward(self, x: Tensor) -> Tensor:
        x, mean, deviation = self.norm(x)
        last = self.recurrent.last(self.recurrent(x))
        return self.head(self.dropout(last)).view(-1, self.horizon, self.channels) * deviation + mean
