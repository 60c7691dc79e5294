"""TabM: many networks in one for tables, sharing their matrices. Gorishniy et al. 2024, arXiv:2410.24210."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.nn.embed_categories import OneHot
from trainwell.nn.embed_numbers import PiecewiseLinear
from trainwell.nn.ensemble import MemberLinear, MemberScale, SharedLinear


class TabM(nn.Module):
    """A table's row to one answer a member; the average of the members' answers is the network's.

    numbers: (batch, numbers), categories: (batch, columns) -> (batch, members, outputs); (batch, outputs) of one member

    variant: "full", each layer scaled by each member; "mini", only the first layer's inputs
    bins: of the piecewise linear embedding of numbers, put at the training rows' quantiles by `initialize`; 0 for none
    """

    def __init__(
        self,
        numbers: int,
        categories: Sequence[int],
        outputs: int,
        *,
        members: int = 32,
        width: int = 512,
        depth: int = 2,
        dropout: float = 0.1,
        bins: int = 48,
        embedding: int = 16,
        variant: str = "mini",
    ) -> None:
        super().__init__()
        if variant not in ("full", "mini"):
            raise ValueError(f"no variant {variant!r}; known: full, mini")
        self.members = members
        self.numbers = PiecewiseLinear(numbers, embedding, bins=bins) if bins and numbers else None
        self.categories = OneHot(categories)
        size = embedding if self.numbers is not None else 1
        chunks = [size] * numbers + [count - 1 for count in categories if count > 1]
        features = size * numbers + self.categories.features
        # The values of one embedding start with one scale: members differ in what they make of a column, not in noise.
        first = MemberScale(members, features, chunks=chunks, start="signs" if self.numbers is None else "normal")
        layers: list[nn.Module] = [first] if variant == "mini" else []
        for layer in range(depth):
            before = features if layer == 0 else width
            if variant == "mini":
                layers.append(nn.Linear(before, width))
            else:
                layers.append(SharedLinear(members, before, width, before=first if layer == 0 else None))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.head = MemberLinear(members, width, outputs)

    def initialize(self, numbers: Tensor, categories: Tensor) -> None:
        """Put the bins' edges at the quantiles of these training rows."""
        if self.numbers is not None:
            self.numbers.fit(numbers)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        embedded = numbers if self.numbers is None else self.numbers(numbers).flatten(1)
        x = torch.cat([embedded, self.categories(categories)], dim=1)
        hidden = self.hidden(x[:, None].expand(-1, self.members, -1))
        scores = self.head(hidden.transpose(0, 1)).transpose(0, 1)
        return scores if self.members > 1 else scores[:, 0]
