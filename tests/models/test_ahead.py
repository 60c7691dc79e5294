"""Guessing ahead: the tokens are those of the model alone, however good the guesses, and its passes are fewer."""

import pytest
import torch
from torch import nn

from trainwell.models import ahead
from trainwell.models.ahead import GUESSES, Ahead, guesser_of
from trainwell.models.decode import drawn, generate, repetition_penalty
from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.llama import Llama
from trainwell.models.rnn import RecurrentLanguageModel
from trainwell.nn.rough import KNOWN, RoughLinear, roughened

V = 61
needs_kernels = pytest.mark.skipif(not KNOWN, reason="this torch lacks the kernels")


def lively(model: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


@pytest.fixture
def small_models_too(monkeypatch):
    monkeypatch.setattr(ahead, "LARGE", 1)
    monkeypatch.setattr(ahead, "REPAID", 48)
    monkeypatch.setattr("trainwell.nn.rough.SMALLEST", 1)
    monkeypatch.setattr("trainwell.nn.packed.SMALLEST", 1)


def passes(model: nn.Module) -> list[int]:
    """Grows by the number of tokens in each pass through the model's last norm."""
    seen: list[int] = []
    model.norm.register_forward_hook(lambda part, inputs, output: seen.append(output.shape[1]))
    return seen


@needs_kernels
@pytest.mark.usefixtures("small_models_too")
@pytest.mark.parametrize("kind", [GPT2, GPT, Llama])
def test_tokens_equal_those_of_the_model_alone(kind, monkeypatch):
    model = lively(kind(V, width=64, depth=2, heads=4, context=80))
    prompt = torch.randint(0, V, (1, 7))
    for options in ({}, {"filters": [repetition_penalty(1.3)]}, {"mask": torch.ones(1, 7, dtype=torch.bool)}):
        seen = passes(model)
        guessed = generate(model, prompt, length=60, **options)[0]
        monkeypatch.setattr(ahead, "LARGE", 10**12)
        alone = generate(model, prompt, length=60, **options)[0]
        monkeypatch.setattr(ahead, "LARGE", 1)
        assert torch.equal(guessed, alone)
        assert len(alone.unique()) > 3  # else guessing would be no feat
        rounds = len(seen) - 60
        assert rounds < 50, "guesses save passes through the model"


@needs_kernels
@pytest.mark.usefixtures("small_models_too")
def test_texts_run_past_the_context(monkeypatch):
    model = lively(GPT2(V, width=64, depth=2, heads=4, context=16))
    prompt = torch.randint(0, V, (1, 5))
    guessed = generate(model, prompt, length=70)[0]
    monkeypatch.setattr(ahead, "LARGE", 10**12)
    assert torch.equal(guessed, generate(model, prompt, length=70)[0])


class Wrong(nn.Module):
    """Guesses the token after the best one, and leaves rubbish in the cache."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def advance(self, tokens, cache):
        scores = self.model.advance(tokens, cache).roll(1, dims=-1)
        for layer in cache.layers:
            layer.keys[:, :, layer.length - 1] = 9.0
        return scores


@torch.no_grad()
def test_a_guesser_that_is_always_wrong_changes_nothing():
    model = lively(GPT2(V, width=32, depth=2, heads=4, context=64))
    prompt, work = torch.randint(0, V, (1, 5)), Ahead(model, Wrong(model))
    scores, cache = work.begin(prompt, None, 40)
    wanted, other = model.begin(prompt, None, 40)
    for _ in range(35):
        assert torch.allclose(scores, wanted, atol=1e-4)
        tokens = wanted.argmax(-1)
        scores, wanted = work.advance(tokens, cache), model.advance(tokens, other)
    assert work.right == 0 and work.count == 1


@needs_kernels
def test_rough_layers_come_near_and_share_the_rest():
    torch.manual_seed(0)
    layer, x = nn.Linear(256, 512), torch.randn(3, 2, 256)
    rough = RoughLinear(layer.weight, layer.bias)
    with torch.no_grad():
        error = (rough(x) - layer(x)).std() / layer(x).std()
    assert 1e-6 < error < 1e-3
    model = GPT2(2000, width=64, depth=1, heads=2).eval()
    twin = roughened(model)
    assert twin.norm.weight is model.norm.weight and twin.embedding.token.weight is model.embedding.token.weight
    assert isinstance(twin.embedding.head[0], RoughLinear) and model.embedding.head is None
    assert roughened(GPT2(200, width=64, depth=1, heads=2).bfloat16()) is None


@needs_kernels
@pytest.mark.usefixtures("small_models_too")
def test_only_what_gains_is_guessed_and_a_changed_weight_is_seen():
    assert guesser_of(RecurrentLanguageModel(V, width=32), steps=1000) is None
    model = lively(GPT2(V, width=64, depth=1, heads=2, context=64))
    assert guesser_of(model, steps=GUESSES) is None
    first = guesser_of(model, steps=1000)
    assert first is not None and guesser_of(model, steps=GUESSES) is first
    with torch.no_grad():
        model.blocks[0].feed_forward.part.up.weight.mul_(1.5)
    assert guesser_of(model, steps=1000) is not first
    seen = passes(model)
    generate(model, torch.randint(0, V, (1, 4)), length=50, choose=drawn(torch.Generator().manual_seed(0)))
    assert set(seen[1:]) == {1}, "draws are not guessed"
