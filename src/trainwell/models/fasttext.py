"""Tokens to scores of classes by the mean of the vectors of words and word pairs: fastText.

Joulin et al. 2016, arXiv:1607.01759; pairs share a table by hashing, after Weinberger et al. 2009, arXiv:0902.2206.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRIME = 1_000_003


class FastText(nn.Module):
    """A text to scores of its classes: fast, and hard to beat where texts are few.

    `pairs` is the number of vectors that neighbouring words share by hashing, 0 for single words alone. In training
    each word and pair is left out with chance `drop`.
    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, classes)
    """

    def __init__(
        self, vocabulary: int, classes: int, *, width: int = 32, pairs: int = 100_000, drop: float = 0.5
    ) -> None:
        super().__init__()
        self.vocabulary, self.pairs, self.drop = vocabulary, pairs, drop
        self.embedding = nn.Embedding(vocabulary + pairs, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        if self.pairs:
            hashed = self.vocabulary + (tokens[:, :-1] * PRIME + tokens[:, 1:]) % self.pairs
            tokens, mask = torch.cat([tokens, hashed], 1), torch.cat([mask, mask[:, :-1] & mask[:, 1:]], 1)
        share = mask.to(self.embedding.weight.dtype)
        if self.training and self.drop:
            share = share * (torch.rand_like(share) > self.drop)
        share = share / share.sum(1, keepdim=True).clamp_min(1)
        return self.head(
            self.norm(F.embedding_bag(tokens, self.embedding.weight, per_sample_weights=share, mode="sum"))
        )
