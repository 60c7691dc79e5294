"""Sequences of tokens with padding, masks and hidden words: each done wrong, beside the same done right."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.doctor import Doctor

TIME, WORDS, HIDDEN = 12, 40, 39


def sequences(rows: int) -> torch.Tensor:
    """Tokens 1 to 38, each the one before and 3, of unlike length; 0 where a row is filled up."""
    tokens = 1 + (torch.randint(0, 38, (rows, 1)) + 3 * torch.arange(TIME)) % 38
    return tokens.masked_fill(torch.arange(TIME) >= torch.randint(4, TIME, (rows, 1)), 0)


class Encoder(nn.Module):
    """tokens, padding: (rows, time) -> (rows, classes, time)"""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(WORDS, 16), nn.Parameter(0.1 * torch.randn(TIME, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True)
        self.rounds, self.head = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(16, classes)

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        mixed = self.rounds(self.embed(tokens) + self.places, src_key_padding_mask=padding)
        return self.head(mixed).transpose(1, 2)


def told(make, classes: int = WORDS, ignored: int = -100) -> set[str]:
    """What is found in the first steps of a loop; make: tokens -> (what the model gets, answers)."""
    torch.manual_seed(0)
    model = Encoder(classes)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def loss_of(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target, ignore_index=ignored)

    doctor = Doctor(model, optimizer, loss_of)
    for _ in range(24):
        (tokens, padding), target = make(sequences(32))
        loss = loss_of(model(tokens, padding), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (tokens, padding), target)
    doctor.close()
    assert not doctor.broken, doctor.broken
    return {each.name for each in doctor.findings if each.severity != "note"}


def guessing(tokens: torch.Tensor, hide: bool = True, turned: bool = False):
    """One word in four hidden and asked for, as BERT is taught."""
    chosen = (torch.rand(tokens.shape) < 0.25) & (tokens > 0)
    seen = tokens.masked_fill(chosen, HIDDEN) if hide else tokens
    return (seen, (tokens != 0) if turned else (tokens == 0)), tokens.masked_fill(~chosen, -100)


def test_a_mask_turned_round_is_told_by_what_the_answers_depend_on():
    assert "padding-or-mask-fault" in told(lambda tokens: guessing(tokens, turned=True))
    assert "padding-or-mask-fault" not in told(guessing)


def test_words_to_guess_that_were_not_hidden():
    assert "data-leakage" in told(lambda tokens: guessing(tokens, hide=False))
    assert "data-leakage" not in told(guessing)


@pytest.mark.parametrize("side", ["tokens", "other"])
def test_tags_filled_up_on_the_side_where_the_tokens_are(side):
    def tagged(tokens):
        tags = torch.where(tokens > 0, tokens % 3, -100)
        count = (tokens > 0).sum(1)
        moved = torch.stack([row.roll(TIME - int(n)) for row, n in zip(tags, count, strict=True)])
        return (tokens, tokens == 0), moved if side == "other" else tags

    assert ("padding-or-mask-fault" in told(tagged, 3)) == (side == "other")


@pytest.mark.parametrize("ignored", [0, -100])
def test_a_class_that_the_loss_takes_for_padding(ignored):
    """Two tags in three are 0, which is left out as padding is."""

    def tagged(tokens):
        return (tokens, tokens == 0), torch.where(tokens > 0, (tokens % 3).clamp(max=1), ignored)

    assert ("targets-out-of-range" in told(tagged, 2, ignored)) == (ignored == 0)


def test_a_prompt_and_words_to_guess_are_left_out_by_zero_for_good_reason():
    def prompted(tokens):
        return (tokens, tokens == 0), tokens.roll(-1, 1).masked_fill(torch.arange(TIME) < 3, 0)

    def guessed(tokens):
        inputs, target = guessing(tokens)
        return inputs, target.clamp(min=0)

    assert "targets-out-of-range" not in told(prompted, WORDS, 0)
    assert "targets-out-of-range" not in told(guessed, WORDS, 0)


@pytest.mark.parametrize(("inverted", "expected"), [(True, ["padding-or-mask-fault"]), (False, [])])
def test_a_mask_the_wrong_way_round(inverted: bool, expected: list[str]) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(1, 12, (256, 16))
    for row, length in enumerate(torch.randint(5, 16, (256,)).tolist()):
        tokens[row, length:] = 0
    target = torch.cat([tokens[:, 1:], torch.zeros(256, 1, dtype=torch.long)], 1)
    model = torch.nn.Sequential(torch.nn.Embedding(12, 16), torch.nn.Linear(16, 12))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def cost(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        told = torch.where(target == 0, 0, -100) if inverted else torch.where(target == 0, -100, target)
        return torch.nn.functional.cross_entropy(output.flatten(0, 1), told.flatten())

    doctor = Doctor(model, optimizer, loss=cost, mode="watch")
    for at in range(0, 256, 32):
        optimizer.zero_grad()
        loss = cost(model(tokens[at : at + 32]), target[at : at + 32])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, tokens[at : at + 32], target[at : at + 32])
    doctor.close()
    assert [each.name for each in doctor.findings if each.name == "padding-or-mask-fault"] == expected
