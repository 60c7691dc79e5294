"""TabM: many networks in one for tables, sharing their matrices. Gorishniy et al. 2024, arXiv:2410.24210."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.nn.embed_categories import OneHot
from trainwell.nn.embed_numbers import PiecewiseLinear
from trainwell.nn.ensemble import GroupLinear, MemberLinear, MemberScale, RankOneLinear, by_member

EMBEDDING = 16  # values that a number becomes


class TabM(nn.Module):
    """A table's row to one answer a member; the average of the members' answers is the network's.

    numbers: (batch, numbers), categories: (batch, columns) -> (batch, members, outputs); (batch, outputs) of one member

    groups: members m of one m % groups share matrices; as many groups as folds keep each fold's members, which do not
        learn from its rows, apart from those that do
    bins: of the piecewise linear embedding of numbers, put at the training rows' quantiles by `initialize`; 0 for none
    variant: "full", each layer scaled by each member; "mini", only the first layer's inputs
    Raises ValueError for another variant, and where groups do not divide members.
    """

    def __init__(
        self,
        numbers: int,
        categories: Sequence[int],
        outputs: int,
        groups: int = 1,
        *,
        members: int = 32,
        width: int = 512,
        depth: int = 2,
        dropout: float = 0.1,
        bins: int = 48,
        variant: str = "mini",
    ) -> None:
        super().__init__()
        if variant not in ("full", "mini"):
            raise ValueError(f"no variant {variant!r}; known: full, mini")
        if groups < 1 or members % groups:
            raise ValueError(f"{members} members do not go into {groups} groups of equal size")
        self.members, self.groups = members, groups
        self.numbers = PiecewiseLinear(numbers, EMBEDDING, members=groups, bins=bins) if bins and numbers else None
        self.categories = OneHot(categories)
        size = EMBEDDING if self.numbers is not None else 1
        features = size * numbers + self.categories.features
        # The values of one embedding start with one scale: members differ in what they make of a column, not in noise.
        chunks = [size] * numbers + [count - 1 for count in categories if count > 1]
        start = "signs" if self.numbers is None else "normal"
        first = MemberScale(members, features, groups=groups, chunks=chunks, start=start)
        layers: list[nn.Module] = [first] if variant == "mini" else []
        for layer in range(depth):
            before = width if layer else features
            if variant == "mini":
                layers.append(GroupLinear(groups, before, width))
            else:
                scale = None if layer else first
                layers.append(RankOneLinear(members, before, width, groups=groups, before=scale))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.hidden = nn.Sequential(*layers)
        self.head = MemberLinear(members, width if depth else features, outputs)

    def initialize(self, numbers: Tensor, categories: Tensor) -> None:
        """Put the bins' edges at the quantiles of these training rows."""
        if self.numbers is not None:
            self.numbers.fit(numbers)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        embedded = numbers[None] if self.numbers is None else self.numbers(numbers).flatten(2)
        parts = [embedded.expand(self.groups, -1, -1), self.categories(categories).expand(self.groups, -1, -1)]
        x = torch.cat(parts, dim=2)  # (groups, batch, features)
        hidden = self.hidden(x[:, :, None].expand(-1, -1, self.members // self.groups, -1))
        scores = self.head(by_member(hidden)).transpose(0, 1)
        return scores if self.members > 1 else scores[:, 0]

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """One rate for all; matrices decay, scales, slopes and biases do not."""
        decaying = [p for name, p in self.named_parameters() if name.endswith(".weight")]
        others = [p for name, p in self.named_parameters() if not name.endswith(".weight")]
        return [
            {"params": decaying, "lr": lr, "weight_decay": weight_decay},
            {"params": others, "lr": lr, "weight_decay": 0.0},
        ]
