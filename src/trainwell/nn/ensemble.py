"""One layer to many members: networks that learn side by side in the same matrix products.

Members may share matrices in groups: member m is of group m % groups. Layers here see a group's members side by side,
(groups, batch, members of a group, features), so that each group is one matrix product.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def by_group(members: Tensor, groups: int) -> Tensor:
    """One row a member to one axis a group: (members, ...) -> (groups, members of a group, ...)."""
    return members.unflatten(0, (-1, groups)).transpose(0, 1)


def by_member(x: Tensor) -> Tensor:
    """Back from groups to members: (groups, batch, members of a group, features) -> (members, batch, features)."""
    return x.permute(2, 0, 1, 3).flatten(0, 1)


class MemberLinear(nn.Module):
    """A linear layer of its own for each member.

    x: (members, batch, inputs) -> (members, batch, outputs)
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(inputs, 1))
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class GroupLinear(MemberLinear):
    """A linear layer that the members of a group share.

    x: (groups, batch, members of a group, inputs) -> (groups, batch, members of a group, outputs)
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1, 2)).unflatten(1, x.shape[1:3])


class MemberScale(nn.Module):
    """Each member sees the inputs through scales of its own: all that tells the members of TabM-mini apart.

    x: (groups, batch, members of a group, features) -> the same shape

    chunks: sizes of neighbouring features that start with the same scale, such as the embedding of one column
    start: "ones", "signs" (1 or -1 by chance) or "normal"; raises ValueError for another
    """

    def __init__(
        self,
        members: int,
        features: int,
        *,
        groups: int = 1,
        chunks: Sequence[int] | None = None,
        start: str = "ones",
    ) -> None:
        super().__init__()
        sizes = torch.tensor(list(chunks) if chunks is not None else [1] * features, dtype=torch.long)
        shape = (members, len(sizes))
        if start == "ones":
            scale = torch.ones(shape)
        elif start == "signs":
            scale = torch.randint(0, 2, shape).float() * 2 - 1
        elif start == "normal":
            scale = torch.randn(shape)
        else:
            raise ValueError(f"no start {start!r}; known: normal, ones, signs")
        self.groups = groups
        self.scale = nn.Parameter(scale.repeat_interleave(sizes, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return x * by_group(self.scale, self.groups)[:, None]


class RankOneLinear(nn.Module):
    """A group's shared matrix with, for each member, a scale of inputs and of outputs and a bias.

    x: (groups, batch, members of a group, inputs) -> (groups, batch, members of a group, outputs)

    BatchEnsemble, Wen et al. 2020, arXiv:2002.06715: member m's matrix is the shared one times an outer product.
    The members' biases start equal, so that at first only the scales before the first layer tell them apart.
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, *, groups: int = 1, before: MemberScale | None = None
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(inputs, 1))
        self.groups = groups
        self.before = before if before is not None else MemberScale(members, inputs, groups=groups)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.after = MemberScale(members, outputs, groups=groups)
        self.bias = nn.Parameter(torch.empty(groups, outputs).uniform_(-bound, bound).repeat(members // groups, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        products = torch.bmm(x.flatten(1, 2), self.weight).unflatten(1, x.shape[1:3])
        return self.after(products) + by_group(self.bias, self.groups)[:, None]
