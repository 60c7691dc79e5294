"""A model and a prompt to the most probable continuations: beam search. Graves 2012, arXiv:1211.3711."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainwell.models.decode import Decoding, at_work

NEVER = -1e9  # finite, so that sums with it stay ordered


class Found(NamedTuple):
    """The best continuation of a row without the token that ended it, and its score: log-probability over length to
    the exponent. tokens: (new,) long"""

    tokens: Tensor
    score: float


class Beams:
    """The open and the finished continuations of each row, best first.

    open and finished scores: (batch, beams), their tokens: (batch, beams, length)
    """

    def __init__(self, batch: int, beams: int, length: int, exponent: float, device: torch.device) -> None:
        self.beams, self.length, self.exponent = beams, length, exponent
        self.scores = torch.full((batch, beams), NEVER, device=device)
        self.scores[:, 0] = 0.0  # all beams are equal at first: one may speak
        self.tokens = torch.zeros(batch, beams, length, dtype=torch.long, device=device)
        self.finished = torch.full((batch, beams), NEVER, device=device)
        self.finished_tokens = self.tokens.clone()
        self.finished_lengths = torch.zeros(batch, beams, dtype=torch.long, device=device)
        self.done = torch.zeros(batch, dtype=torch.bool, device=device)

    def grow(self, logits: Tensor, count: int, final: Tensor) -> Tensor:
        """Take the best next tokens, the count-th of their rows, and say which beam each open one came from.

        logits: (batch * beams, vocabulary) -> rows (batch * beams,) long
        """
        batch, beams = self.scores.shape
        scores = logits.float().log_softmax(dim=-1).view(batch, beams, -1) + self.scores.unsqueeze(-1)
        vocabulary = scores.shape[-1]
        scores, place = scores.flatten(1).topk(min(2 * beams, beams * vocabulary))
        parent, token = place // vocabulary, place % vocabulary
        tokens = self.tokens.gather(1, parent.unsqueeze(-1).expand(-1, -1, self.length))
        tokens[:, :, count - 1] = token
        ending = torch.isin(token, final)
        self.finish(scores, tokens, ending, count)
        scores, kept = scores.masked_fill(ending, NEVER).topk(beams)
        self.scores = scores
        self.tokens = tokens.gather(1, kept.unsqueeze(-1).expand(-1, -1, self.length))
        self.done |= self.finished[:, -1] >= self.scores[:, 0] / count**self.exponent
        rows = parent.gather(1, kept) + torch.arange(batch, device=kept.device).unsqueeze(1) * beams
        return rows.flatten()

    def finish(self, scores: Tensor, tokens: Tensor, ending: Tensor, count: int) -> None:
        """Move continuations that end among the best to the finished ones. scores, ending: (batch, candidates)"""
        last = count == self.length
        text = count - ending.long()  # the end token is no text, but counts in the score
        allowed = (ending | last) & ~self.done.unsqueeze(1)
        allowed[:, self.beams :] = False
        scores = torch.where(allowed, scores / count**self.exponent, NEVER)
        scores, order = torch.cat((self.finished, scores), dim=1).topk(self.beams)
        tokens = torch.cat((self.finished_tokens, tokens), dim=1)
        self.finished, self.finished_lengths = scores, torch.cat((self.finished_lengths, text), dim=1).gather(1, order)
        self.finished_tokens = tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, self.length))


@torch.no_grad()
def beam_search(
    model: nn.Module,
    prompt: Tensor,
    *,
    mask: Tensor | None = None,
    length: int = 100,
    beams: int = 5,
    ends: Sequence[int] = (),
    exponent: float = 1.0,
    start: int | None = None,
) -> list[Found]:
    """The best of `beams` continuations of each row, of at most `length` tokens.

    Scores are log-probabilities over length to the `exponent`: above zero favours long texts. A row ends when no open
    continuation scores above its worst finished one at the present length.
    prompt: (batch, time) long, mask: (batch, time) bool, True at tokens, or None.
    Raises InputError for an empty prompt.
    """
    with at_work(model, prompt.shape[0] * beams, length):
        work = Decoding(model, prompt, mask, length, start)
        work.expand(beams)
        found = Beams(prompt.shape[0], beams, work.room, exponent, prompt.device)
        final = torch.as_tensor(list(ends), dtype=torch.long, device=prompt.device)
        for count in range(1, work.room + 1):
            rows = found.grow(work.scores, count, final)
            if count == work.room or bool(found.done.all()):
                break
            work.reorder(rows)
            work.add(found.tokens[:, :, count - 1].flatten())
    lengths = found.finished_lengths[:, 0].tolist()
    scores = found.finished[:, 0].tolist()
    return [Found(found.finished_tokens[row, 0, :size], scores[row]) for row, size in enumerate(lengths)]
