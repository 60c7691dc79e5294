"""Decoding: filters against transformers', stops, streams, unequal prompts, and contexts that run full."""

import math

import pytest
import torch
from torch import nn

from trainwell.errors import InputError
from trainwell.models.decode import (
    Stop,
    batch_of,
    best,
    drawn,
    generate,
    min_p,
    padded_left,
    repetition_penalty,
    stream,
    temperature,
    top_k,
    top_p,
)
from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.rnn import RecurrentLanguageModel
from trainwell.models.seq2seq import Seq2Seq
from trainwell.models.transformer import Transformer

V = 31


def lively(model: nn.Module) -> nn.Module:
    """Weights spread enough that texts vary."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


MODELS = {
    "gpt": lambda: GPT(V, width=32, depth=2, heads=4, context=64),
    "gpt2": lambda: GPT2(V, width=32, depth=2, heads=4, context=64),
    "lstm": lambda: RecurrentLanguageModel(V, width=32),
}


@pytest.fixture(scope="module")
def gpt() -> nn.Module:
    return lively(MODELS["gpt"]())


@pytest.mark.parametrize("size", [0.3, 0.9, 1.0])
def test_filters_equal_transformers(size):
    process = pytest.importorskip("transformers.generation.logits_process")
    torch.manual_seed(0)
    scores, tokens = torch.randn(4, V) * 3, torch.randint(0, V, (4, 6))
    pairs = [
        (temperature(size), process.TemperatureLogitsWarper(size)),
        (top_k(math.ceil(9 * size)), process.TopKLogitsWarper(math.ceil(9 * size))),
        (top_p(size), process.TopPLogitsWarper(size)),
        (min_p(size / 5), process.MinPLogitsWarper(size / 5)),
        (repetition_penalty(2 - size), process.RepetitionPenaltyLogitsProcessor(2 - size)),
    ]
    for ours, theirs in pairs:
        assert torch.allclose(ours(scores, tokens), theirs(tokens, scores)), theirs


def test_filters_keep_the_best_token_and_name_bad_numbers():
    scores = torch.tensor([[0.0, 50.0, 0.0]])
    for keep in (top_p(1e-6), top_k(1), min_p(1.0)):
        assert keep(scores, torch.zeros(1, 0).long()).isfinite().tolist() == [[False, True, False]]
    assert top_k(99)(scores, scores).equal(scores)
    for bad in (lambda: temperature(0), lambda: top_k(0), lambda: top_p(0), lambda: min_p(2)):
        with pytest.raises(InputError):
            bad()
    with pytest.raises(InputError, match="repetition_penalty is -1"):
        repetition_penalty(-1)


def test_draws_follow_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    scores = torch.tensor([[0.0, math.log(3.0), -math.inf]]).expand(4000, -1)
    counts = drawn(generator)(scores).bincount(minlength=3) / 4000
    assert torch.allclose(counts, torch.tensor([0.25, 0.75, 0.0]), atol=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_unequal_prompts_give_what_each_gives_alone(name):
    model = lively(MODELS[name]())
    prompts = [[3, 7, 1, 9, 2], [5], [8, 8, 4]]
    tokens, mask = batch_of(prompts)
    together = generate(model, tokens, mask=mask, length=20)
    for prompt, text in zip(prompts, together, strict=True):
        assert torch.equal(text, generate(model, torch.tensor([prompt]), length=20)[0])
    again = generate(model, *[part.flip(1) for part in (tokens,)], mask=mask.flip(1), length=4)
    flipped = generate(model, tokens.flip(1)[:1], length=4)[0]
    assert torch.equal(again[0], flipped)  # padding on the right is moved to the left


@pytest.mark.parametrize("name", MODELS)
def test_greedy_equals_the_forward_pass(name):
    model = lively(MODELS[name]())
    row = torch.tensor([[4, 2]])
    wanted = row
    with torch.no_grad():
        for _ in range(15):
            wanted = torch.cat((wanted, model(wanted)[:, -1:].argmax(-1)), 1)
    assert torch.equal(generate(model, row, length=15)[0], wanted[0, 2:])


@pytest.mark.parametrize("model", [Transformer(V, width=32, depth=2, heads=4), Seq2Seq(V, width=32)])
def test_translation_equals_the_forward_pass(model):
    model = lively(model)
    source = torch.randint(0, V, (2, 6))
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    target = torch.full((2, 1), model.start)
    with torch.no_grad():
        for _ in range(10):
            target = torch.cat((target, model(source, target, mask)[:, -1:].argmax(-1)), 1)
    got = generate(model, source, mask=mask, length=10)
    assert torch.equal(torch.stack(got), target[:, 1:])
    other = generate(model, source, mask=mask, length=3, start=2)
    first = model(source, torch.full((2, 1), 2), mask)[:, -1].argmax(-1)
    assert torch.equal(torch.stack(other)[:, 0], first)


def test_rows_end_on_their_own(gpt):
    tokens, mask = batch_of([[3, 7], [5], [8, 8]])
    free = generate(gpt, tokens, mask=mask, length=25)
    end = int(free[0][3])
    ended = generate(gpt, tokens, mask=mask, length=25, ends=[end])
    for text, whole in zip(ended, free, strict=True):
        places = (whole == end).nonzero().flatten().tolist()
        assert torch.equal(text, whole[: places[0]] if places else whole)


def test_stop_strings_end_rows(gpt):
    def decode(tokens: list[int]) -> str:
        return "".join(chr(97 + token % 26) for token in tokens)

    tokens, mask = batch_of([[3, 7], [5]])
    free = generate(gpt, tokens, mask=mask, length=25)
    string = decode(free[0][4:7].tolist())
    texts = generate(gpt, tokens, mask=mask, length=25, stop=Stop([string, "????"], decode))
    for text, whole in zip(texts, free, strict=True):
        place = decode(whole.tolist()).find(string)
        assert torch.equal(text, whole[: place + 3] if place >= 0 else whole)
    with pytest.raises(InputError, match="stop string is empty"):
        Stop([""], decode)


def test_streams_give_the_same_tokens_one_by_one(gpt):
    steps = stream(gpt, torch.tensor([[1, 2, 3]]), length=12)
    first = next(steps)
    assert first.tokens.shape == (1,) and bool(first.running)
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()  # nothing leaks between steps
    rest = [int(step.tokens) for step in steps]
    assert [int(first.tokens), *rest] == generate(gpt, torch.tensor([[1, 2, 3]]), length=12)[0].tolist()


def test_sampling_repeats_with_its_seed_and_leaves_the_mode_alone(gpt):
    gpt.train()
    texts = [
        generate(
            gpt,
            torch.tensor([[1], [1]]),
            length=20,
            filters=[temperature(1.5), top_k(20), top_p(0.95)],
            choose=drawn(torch.Generator().manual_seed(seed)),
        )
        for seed in (1, 1, 2)
    ]
    assert gpt.training
    assert torch.equal(texts[0][0], texts[1][0]) and not torch.equal(texts[0][0], texts[2][0])
    assert not torch.equal(texts[0][0], texts[0][1])  # rows draw apart


@pytest.mark.parametrize("kind", [GPT, GPT2])
def test_texts_run_past_the_context(kind):
    model = lively(kind(V, width=32, depth=1, heads=4, context=8))
    text = generate(model, torch.tensor([[1, 2, 3]]), length=40)[0]
    assert len(text) == 40
    record = torch.cat((torch.tensor([1, 2, 3]), text))
    with torch.no_grad():
        wanted = model(record[None, 5:9])[0, -1].argmax()  # the context was full after 8 tokens: it goes on from 4
    assert text[6] == wanted
    long = torch.randint(0, V, (1, 30))
    assert torch.equal(generate(model, long, length=1)[0], generate(model, long[:, -8:], length=1)[0])
    tokens, mask = batch_of([[1, 2, 3], [4] * 12])
    both = generate(model, tokens, mask=mask, length=20)
    assert len(both[0]) == len(both[1]) == 20


def test_prompts_without_tokens_are_named(gpt):
    with pytest.raises(InputError, match="prompt 2 has no token"):
        batch_of([[1], []])
    with pytest.raises(InputError, match="the prompt has no token"):
        generate(gpt, torch.zeros(1, 0, dtype=torch.long))
    assert generate(gpt, torch.tensor([[1]]), length=0)[0].tolist() == []


def test_padding_moves_to_the_left():
    tokens, mask = torch.tensor([[1, 2, 0, 0], [0, 3, 4, 5]]), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    moved, mask = padded_left(tokens, mask)
    assert moved.tolist() == [[0, 0, 1, 2], [0, 3, 4, 5]] and mask.int().tolist() == [[0, 0, 1, 1], [0, 1, 1, 1]]
    assert best(torch.tensor([[1.0, 3.0]])).tolist() == [1]
