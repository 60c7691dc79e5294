"""Long texts to scores of classes by all their words and by what an encoder reads of them: wide and deep learning.

Cheng et al. 2016, arXiv:1606.07792; which part of a long text is read: Sun et al. 2019, arXiv:1905.05583.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.models.bert import BertClassifier
from trainwell.models.nbsvm import FittedNBSVM


class WideDeep(nn.Module):
    """A text to scores of its classes by the sum of two: NBSVM on all its words, BERT on the first and last of them.

    The wide part is fitted before the first step and is right for nearly every training text from then on, so that
    the sum's loss would leave the deep part nothing to learn. In training the deep part's scores are given alone, and
    it learns by a loss of its own. What both say overlaps, so the deep part's scores count as a `share` of the wide
    one's. `reads` is how many tokens the deep part sees, a quarter of them the text's first ones, the rest its last;
    `positions` is how many it has places for.
    tokens: (batch, time) long, mask: (batch, time) bool or None, True at tokens, which stand first -> (batch, classes)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        width: int = 384,
        depth: int = 6,
        heads: int = 12,
        hidden: int | None = None,
        positions: int = 512,
        reads: int = 256,
        dropout: float = 0.1,
        share: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < reads <= positions or share < 0:
            raise ValueError(
                f"reads={reads}, share={share}: expected 1 to {positions} tokens, and a share of 0 or more"
            )
        self.reads, self.share = reads, share
        self.wide = FittedNBSVM(vocabulary, classes)
        self.deep = BertClassifier(
            vocabulary,
            classes,
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            context=positions,
            dropout=dropout,
        )

    @torch.no_grad()
    def initialize(self, tokens: Tensor, mask: Tensor, target: Tensor) -> None:
        """Fit the wide part. tokens: (texts, time) long, mask: (texts, time) bool, target: (texts,) long

        Raises InputError where the answers are not one class a text.
        """
        self.wide.initialize(tokens, mask, target)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        deep = self.deep(*both_ends(tokens, mask, self.reads))
        if self.training:
            return deep
        return self.wide(tokens, mask) + self.share * deep


def both_ends(tokens: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Of texts longer than `size` the first quarter of so many tokens and the last three; shorter ones are padded.

    tokens: (batch, time) long, mask: (batch, time) bool -> (batch, size) long, (batch, size) bool
    """
    place = torch.arange(size, device=tokens.device)
    left_out = (mask.sum(1, keepdim=True) - size).clamp_min(0)
    place = place + left_out * (place >= size // 4)
    return F.pad(tokens, (0, size)).gather(1, place), F.pad(mask, (0, size)).gather(1, place)
