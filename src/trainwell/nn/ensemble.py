"""One layer to many members: networks that learn side by side in the same matrix products."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


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


class MemberScale(nn.Module):
    """Each member sees the inputs through scales of its own: all that tells the members of TabM-mini apart.

    x: (batch, members, features) -> (batch, members, features)

    chunks: sizes of neighbouring features that start with the same scale, such as the embedding of one column
    """

    def __init__(
        self, members: int, features: int, *, chunks: Sequence[int] | None = None, start: str = "ones"
    ) -> None:
        super().__init__()
        sizes = torch.tensor(list(chunks) if chunks is not None else [1] * features)
        shape = (members, len(sizes))
        if start == "ones":
            scale = torch.ones(shape)
        elif start == "signs":
            scale = torch.randint(0, 2, shape).float() * 2 - 1
        elif start == "normal":
            scale = torch.randn(shape)
        else:
            raise ValueError(f"no start {start!r}; known: normal, ones, signs")
        self.scale = nn.Parameter(scale.repeat_interleave(sizes, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class SharedLinear(nn.Module):
    """One matrix for all members, with a scale of inputs and of outputs and a bias for each.

    x: (batch, members, inputs) -> (batch, members, outputs)

    BatchEnsemble, Wen et al. 2020, arXiv:2002.06715: member m's matrix is the shared one times an outer product.
    """

    def __init__(self, members: int, inputs: int, outputs: int, *, before: MemberScale | None = None) -> None:
        super().__init__()
        self.before = before if before is not None else MemberScale(members, inputs)
        self.shared = nn.Linear(inputs, outputs, bias=False)
        self.after = MemberScale(members, outputs)
        # The members' biases start equal, so that at first only the scales of the first layer tell members apart.
        bound = 1 / math.sqrt(max(inputs, 1))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound).repeat(members, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.shared(self.before(x))) + self.bias
