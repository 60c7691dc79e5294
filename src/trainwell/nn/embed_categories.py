"""A table's category codes to vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """Each code to a vector with a single 1, side by side; code 0 (unknown, missing, rare) to zeros.

    codes: (batch, columns) -> (batch, sum of cardinalities - columns)

    cardinalities: how many codes each column has, the 0 among them
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        super().__init__()
        counts = torch.tensor(list(cardinalities), dtype=torch.long)
        starts = counts.cumsum(0) - counts
        self.total = int(counts.sum())
        self.features = self.total - len(counts)
        self.register_buffer("starts", starts, persistent=False)
        zeros = set(starts.tolist())
        kept = [slot for slot in range(self.total) if slot not in zeros]
        self.register_buffer("kept", torch.tensor(kept, dtype=torch.long), persistent=False)
        self.starts: Tensor
        self.kept: Tensor

    def forward(self, codes: Tensor) -> Tensor:
        slots = codes + self.starts
        hot = torch.zeros(codes.shape[0], self.total, device=codes.device)
        return hot.scatter(1, slots, 1.0)[:, self.kept]


class MemberEmbedding(nn.Module):
    """Each code to a learned vector, another one for each member.

    codes: (batch,) -> (members, batch, size)
    """

    def __init__(self, members: int, cardinality: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, cardinality, size))

    def forward(self, codes: Tensor) -> Tensor:
        return self.weight[:, codes]
