"""Beam search against every continuation written out, and against transformers."""

import itertools

import pytest
import torch
from torch import nn

from trainwell.models.beam import beam_search
from trainwell.models.decode import batch_of, generate
from trainwell.models.gpt2 import GPT2
from trainwell.models.hub import load_hub
from trainwell.models.rnn import RecurrentLanguageModel
from trainwell.models.transformer import Transformer


def lively(model: nn.Module, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


@pytest.mark.parametrize("kind", ["gpt2", "lstm"])
def test_wide_beams_find_the_best_of_all_continuations(kind):
    vocabulary, length, end, exponent = 5, 4, 0, 0.7
    model = GPT2(vocabulary, width=16, depth=1, heads=2, context=8) if kind == "gpt2" else None
    model = lively(model or RecurrentLanguageModel(vocabulary, width=16, depth=1))
    prompt = torch.tensor([[1, 2]])
    options: dict[tuple[int, ...], float] = {}
    for text in itertools.product(range(vocabulary), repeat=length):
        with torch.no_grad():
            scores = model(torch.cat((prompt, torch.tensor([text])), 1)).log_softmax(-1)[0, 1:-1]
        steps = scores.gather(1, torch.tensor(text)[:, None]).flatten()
        stop = text.index(end) + 1 if end in text else length
        options[text[:stop]] = steps[:stop].sum().item() / stop**exponent
    wanted = max(options, key=options.__getitem__)
    (found,) = beam_search(model, prompt, length=length, beams=vocabulary**length, ends=[end], exponent=exponent)
    assert tuple(found.tokens.tolist()) == tuple(token for token in wanted if token != end)
    assert found.score == pytest.approx(options[wanted], abs=1e-4)


def test_one_beam_is_greedy_and_rows_are_independent():
    model = lively(GPT2(23, width=32, depth=2, heads=4, context=32))
    tokens, mask = batch_of([[3, 7, 1], [5], [8, 8]])
    alone = [
        beam_search(model, tokens[row : row + 1, 3 - n :], beams=4, length=9)[0] for row, n in enumerate((3, 1, 2))
    ]
    together = beam_search(model, tokens, mask=mask, beams=4, length=9)
    for mine, one in zip(together, alone, strict=True):
        assert torch.equal(mine.tokens, one.tokens) and mine.score == pytest.approx(one.score, abs=1e-4)
    greedy = generate(model, tokens, mask=mask, length=9)
    single = beam_search(model, tokens, mask=mask, beams=1, length=9)
    assert all(torch.equal(a, b.tokens) for a, b in zip(greedy, single, strict=True))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_beams_equal_transformers(kind, exponent, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"gpt2": dict(n_embd=32, n_layer=2, n_head=4, n_positions=40), "t5": dict(d_model=32, d_kv=8, num_layers=2, num_heads=4, d_ff=48)}  # fmt: skip  # noqa: E501
    common = dict(vocab_size=41, bos_token_id=None, eos_token_id=7)
    if kind == "gpt2":
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes[kind], **common))
    else:
        theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes[kind], **common))
    lively(theirs, seed=11)
    theirs.save_pretrained(tmp_path)
    prompt = torch.randint(8, 41, (6, 5))
    options = {"decoder_start_token_id": 0} if kind == "t5" else {}
    wanted = theirs.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, num_beams=4, do_sample=False,
        length_penalty=exponent, pad_token_id=0, return_dict_in_generate=True, output_scores=True, **options,
    )  # fmt: skip
    skip = 1 if kind == "t5" else prompt.shape[1]
    found = beam_search(load_hub(tmp_path), prompt, length=12, beams=4, ends=[7], exponent=exponent)
    for row, mine in enumerate(found):
        text = wanted.sequences[row, skip:].tolist()
        text = text[: text.index(7)] if 7 in text else text
        assert mine.tokens.tolist() == text
        assert mine.score == pytest.approx(wanted.sequences_scores[row].item(), abs=1e-4)


def test_translation_beams_beat_greedy():
    model = lively(Transformer(23, width=32, depth=2, heads=4))
    source = torch.randint(0, 23, (5, 6))
    mask = torch.arange(6) < torch.tensor([[6], [5], [4], [3], [2]])

    def worth(texts: list[torch.Tensor]) -> torch.Tensor:
        target = torch.stack(texts)
        given = torch.cat((torch.full((5, 1), model.start), target[:, :-1]), 1)
        return model(source, given, mask).log_softmax(-1).gather(2, target.unsqueeze(-1)).sum((1, 2))

    found = beam_search(model, source, mask=mask, length=8, beams=6, exponent=0.0)
    mine, greedy = worth([one.tokens for one in found]), worth(generate(model, source, mask=mask, length=8))
    assert torch.allclose(mine, torch.tensor([one.score for one in found]), atol=1e-3)
    assert (mine >= greedy - 1e-4).all() and (mine > greedy + 1e-3).any()
