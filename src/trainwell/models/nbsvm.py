"""Tokens to scores of classes by the words and pairs of words in a text, each weighed by how far it favours a class.

A linear model on naive Bayes' log ratios: Wang & Manning 2012, ACL, "Baselines and Bigrams". Its factors are learned
in steps, or found at once where their penalized loss is least (L-BFGS: Liu & Nocedal 1989).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.errors import InputError

NONE = torch.iinfo(torch.int64).max  # no pair of words has this key
LEAST = 2  # texts that a pair has to stand in
BLOCK = 256  # texts that are counted at a time
STEPS = 100  # of L-BFGS


class WordRatios(nn.Module):
    """A text to the words and pairs of words in it, each with log ratios that say how far it favours each class.

    The ratios are counted from the training texts before the first step. `pairs` is how many pairs of neighbouring
    words are read, those that most texts have.
    tokens: (batch, time) long, mask: (batch, time) bool -> (batch, terms) long, (batch, terms) bool
    """

    ratio: Tensor
    keys: Tensor

    def __init__(self, vocabulary: int, classes: int, *, pairs: int = 200_000) -> None:
        super().__init__()
        self.vocabulary, self.pairs = vocabulary, pairs
        size = vocabulary + pairs + 1  # the last stands for every pair that is not read
        self.register_buffer("keys", torch.full((pairs,), NONE))
        self.register_buffer("ratio", torch.zeros(size, classes))

    @torch.no_grad()
    def count(self, tokens: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Choose the pairs, and count for each word and pair how much oftener texts of a class have it than others.

        tokens: (texts, time) long, mask: (texts, time) bool, target: (texts,) long -> the classes' log shares:
        (classes,). Raises InputError where the answers are not one class a text with a score for each, as of an ordinal
        task or of numbers.
        """
        classes = self.ratio.shape[1]
        if target.is_floating_point() or target.dim() != 1 or int(target.max()) >= classes:
            raise InputError("nbsvm tells classes apart; for numbers and classes in an order take --model fasttext")
        if self.pairs:
            self._choose(tokens, mask)
        count = torch.ones_like(self.ratio)  # one text more of each class that has every word
        for some, inside, answer in zip(*(each.split(BLOCK) for each in (tokens, mask, target)), strict=True):
            terms, present = self.terms(some, inside)
            for each in range(classes):
                own = answer == each
                count[:, each] += torch.bincount(terms[own][present[own]], minlength=len(count))
        others = count.sum(1, keepdim=True) - count
        self.ratio.copy_((count / count.sum(0)).log() - (others / others.sum(0)).log())
        self.ratio[-1] = 0
        return torch.bincount(target, minlength=classes).clamp_min(1).div(len(target)).log()

    def _choose(self, tokens: Tensor, mask: Tensor) -> None:
        """Keep the pairs of words that most texts have, in order, to be found again by bisection."""
        seen = []
        for some, inside in zip(tokens.split(BLOCK), mask.split(BLOCK), strict=True):
            found = self._pairs(some).masked_fill(~(inside[:, 1:] & inside[:, :-1]), NONE).sort(1).values
            first = F.pad(found[:, 1:] != found[:, :-1], (1, 0), value=True) & (found != NONE)
            seen.append(found[first])
        keys, texts = torch.cat(seen).unique(return_counts=True)
        keys, texts = keys[texts >= LEAST], texts[texts >= LEAST]
        chosen = keys[texts.argsort(descending=True, stable=True)[: self.pairs]].sort().values
        self.keys.fill_(NONE)
        self.keys[: len(chosen)] = chosen

    def _pairs(self, tokens: Tensor) -> Tensor:
        return tokens[:, :-1] * self.vocabulary + tokens[:, 1:]

    def terms(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of a text's words and pairs in order, and which of them count: each once, none of padding.

        -> (batch, terms) long, (batch, terms) bool
        """
        last = self.vocabulary + self.pairs
        terms = tokens.masked_fill(~mask, last)
        if self.pairs:
            key = self._pairs(tokens)
            place = torch.searchsorted(self.keys, key).clamp_max(self.pairs - 1)
            known = (self.keys[place] == key) & mask[:, 1:] & mask[:, :-1]
            terms = torch.cat([terms, (self.vocabulary + place).masked_fill(~known, last)], 1)
        terms = terms.sort(1).values
        return terms, F.pad(terms[:, 1:] != terms[:, :-1], (1, 0), value=True) & (terms != last)

    def length(self, terms: Tensor, present: Tensor) -> Tensor:
        """How long the vector of a text's ratios is, by which its scores are divided.

        terms: (batch, terms) long, present: (batch, terms) bool -> (batch, classes)
        """
        squares = (self.ratio[terms] * present.unsqueeze(2)).square()
        return squares.sum(1).sqrt().clamp_min(1e-6)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.terms(tokens, mask)


class NBSVM(WordRatios):
    """A text to scores of its classes by which words it has, however often: strong where texts are few and long.

    What is learned is a factor for each of the log ratios, from zero.
    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, classes)
    """

    def __init__(self, vocabulary: int, classes: int, *, pairs: int = 200_000) -> None:
        super().__init__(vocabulary, classes, pairs=pairs)
        self.factor = nn.Embedding(len(self.ratio), classes)
        nn.init.zeros_(self.factor.weight)
        self.bias = nn.Parameter(torch.zeros(classes))

    @torch.no_grad()
    def initialize(self, tokens: Tensor, mask: Tensor, target: Tensor) -> None:
        """Count the ratios, as `count` says. tokens: (texts, time) long, mask: the same bool, target: (texts,) long"""
        self.bias.copy_(self.count(tokens, mask, target))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        terms, present = self.terms(tokens, torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask)
        ratio = self.ratio[terms] * present.unsqueeze(2)
        length = ratio.square().sum(1).sqrt().clamp_min(1e-6)
        return (ratio * self.factor(terms)).sum(1) / length + self.bias


class FittedNBSVM(WordRatios):
    """NBSVM whose factors are found before the first step, where their loss is least; nothing of it learns in steps.

    `penalty` times half the squares of all factors is added to the texts' cross-entropies, all summed, so that rarely
    seen words count for little: logistic regression's C is 1 / penalty.
    tokens: (batch, time) long, mask: (batch, time) bool or None -> (batch, classes)
    """

    factor: Tensor
    bias: Tensor

    def __init__(self, vocabulary: int, classes: int, *, pairs: int = 200_000, penalty: float = 0.02) -> None:
        super().__init__(vocabulary, classes, pairs=pairs)
        self.penalty = penalty
        self.register_buffer("factor", torch.zeros_like(self.ratio))
        self.register_buffer("bias", torch.zeros(classes))

    @torch.no_grad()
    def initialize(self, tokens: Tensor, mask: Tensor, target: Tensor) -> None:
        """Count the ratios, as `count` says, and find the factors by their gradient over all texts.

        tokens: (texts, time) long, mask: (texts, time) bool, target: (texts,) long
        """
        self.bias.copy_(self.count(tokens, mask, target))
        self.factor.zero_()
        texts = []
        for some, inside, answer in zip(*(each.split(BLOCK) for each in (tokens, mask, target)), strict=True):
            terms, present = self.terms(some, inside)
            texts.append((terms[present], present.sum(1), self.length(terms, present), answer))

        def lower() -> Tensor:
            loss = 0.5 * self.penalty * self.factor.square().sum()
            self.factor.grad, self.bias.grad = self.penalty * self.factor, torch.zeros_like(self.bias)
            weight = self.ratio * self.factor
            for terms, many, length, answer in texts:
                sums = F.embedding_bag(terms, weight, many.cumsum(0) - many, mode="sum")
                scores = sums / length + self.bias
                loss += F.cross_entropy(scores, answer, reduction="sum")
                miss = scores.softmax(1) - F.one_hot(answer, scores.shape[1])
                self.bias.grad += miss.sum(0)
                self.factor.grad.index_add_(0, terms, self.ratio[terms] * (miss / length).repeat_interleave(many, 0))
            return loss

        torch.optim.LBFGS([self.factor, self.bias], max_iter=STEPS, line_search_fn="strong_wolfe").step(lower)
        self.factor.grad = self.bias.grad = None

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        terms, present = self.terms(tokens, torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask)
        weight = (self.ratio * self.factor)[terms] * present.unsqueeze(2)
        return weight.sum(1) / self.length(terms, present) + self.bias
