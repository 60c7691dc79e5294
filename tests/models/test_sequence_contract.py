"""What every model of text and series promises, at tiny sizes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.models.bert import Bert, BertClassifier, BertEncoder, BertTagger
from trainwell.models.cyclenet import CycleNet
from trainwell.models.dlinear import DLinear
from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.itransformer import ITransformer
from trainwell.models.llama import Llama
from trainwell.models.nlinear import NLinear
from trainwell.models.patchtst import PatchTST
from trainwell.models.rnn import RecurrentClassifier, RecurrentForecaster, RecurrentLanguageModel, RecurrentTagger
from trainwell.models.seq2seq import Seq2Seq
from trainwell.models.t5 import T5
from trainwell.models.transformer import Transformer

V, B, T = 23, 4, 9
SMALL = {"width": 32, "depth": 2, "heads": 4}

LANGUAGE = {
    "gpt2": lambda: GPT2(V, **SMALL, context=16, dropout=0.0),
    "gpt": lambda: GPT(V, **SMALL, context=16),
    "gpt-gated-tied-grouped": lambda: GPT(V, **SMALL, context=16, gated=True, tied=True, key_heads=2),
    "llama": lambda: Llama(V, **SMALL, key_heads=2, hidden=48, context=16, tied=False),
    "lstm": lambda: RecurrentLanguageModel(V, width=32, depth=2),
    "gru": lambda: RecurrentLanguageModel(V, cell="gru", width=32, depth=1),
}
PER_TOKEN = {
    "bert": lambda: Bert(V, **SMALL, context=16, dropout=0.0),
    "bert-encoder": lambda: BertEncoder(V, **SMALL, context=16, dropout=0.0),
    "bert-tagger": lambda: BertTagger(V, 5, **SMALL, context=16, dropout=0.0),
    "rnn-tagger": lambda: RecurrentTagger(V, 5, width=32, dropout=0.0),
}
PER_ROW = {
    "bert-classifier": lambda: BertClassifier(V, 5, **SMALL, context=16, dropout=0.0),
    "bert-first": lambda: BertClassifier(V, 5, **SMALL, context=16, dropout=0.0, pooling="first"),
    "rnn-classifier": lambda: RecurrentClassifier(V, 5, width=32, dropout=0.0),
    "rnn-classifier-plain": lambda: RecurrentClassifier(V, 5, cell="rnn", width=32, depth=2, dropout=0.0),
}
TRANSLATING = {
    "t5": lambda: T5(V, **SMALL, head_width=8, hidden=64, dropout=0.0),
    "t5-gated": lambda: T5(V, **SMALL, head_width=8, hidden=64, dropout=0.0, gated=True, tied=False),
    "transformer": lambda: Transformer(V, **SMALL, dropout=0.0, context=16),
    "seq2seq": lambda: Seq2Seq(V, width=32, dropout=0.0),
}
SERIES = {
    "nlinear": lambda: NLinear(3, 5, lookback=24),
    "dlinear": lambda: DLinear(3, 5, lookback=24, window=5),
    "cyclenet": lambda: CycleNet(3, 5, lookback=24, period=6),
    "cyclenet-mlp": lambda: CycleNet(3, 5, lookback=24, period=6, hidden=32),
    "patchtst": lambda: PatchTST(3, 5, lookback=24, patch=8, dropout=0.0),
    "itransformer": lambda: ITransformer(3, 5, lookback=24, width=32, hidden=32, dropout=0.0),
    "recurrent": lambda: RecurrentForecaster(3, 5, lookback=24, width=32, dropout=0.0),
}
TEXT = {**LANGUAGE, **PER_TOKEN, **PER_ROW}
ALL = {**TEXT, **TRANSLATING, **SERIES}


def build(name: str) -> nn.Module:
    """The model with every weight moved a little, so that nothing is exactly zero."""
    torch.manual_seed(0)
    model = ALL[name]()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model.eval()


def inputs_of(name: str, batch: int = B) -> tuple[torch.Tensor, ...]:
    """The model's inputs without a mask."""
    torch.manual_seed(1)
    if name in SERIES:
        return (torch.randn(batch, 24, 3).cumsum(1),)
    tokens = torch.randint(0, V, (batch, T))
    return (tokens, torch.randint(0, V, (batch, T - 2))) if name in TRANSLATING else (tokens,)


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_has_a_gradient(name):
    model = build(name).train()
    model(*inputs_of(name)).float().square().mean().backward()
    still = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # keys' biases shift all scores of a query alike, which the softmax does not see; segments are all the first one
    assert [key for key in still if not key.endswith("key.bias")] == []


@pytest.mark.parametrize("name", ALL)
def test_memorizes_one_batch(name):
    torch.manual_seed(0)
    model, inputs = ALL[name](), inputs_of(name)
    y = model(*inputs)
    series = name in SERIES or name == "bert-encoder"
    target = torch.randn(y.shape) if series else torch.randint(0, y.shape[-1], y.shape[:-1])

    def loss() -> torch.Tensor:
        y = model(*inputs)
        return F.mse_loss(y, target) if series else F.cross_entropy(y.flatten(0, -2), target.flatten())

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = loss().item()
    for _ in range(150):
        optimizer.zero_grad()
        now = loss()
        now.backward()
        optimizer.step()
        if now.item() < 0.1 * first:
            return
    assert now.item() < 0.1 * first


@pytest.mark.parametrize("name", ALL)
def test_rows_do_not_see_each_other(name):
    model, inputs = build(name), inputs_of(name)
    alone = model(*(part[:1] for part in inputs))
    others = tuple(torch.cat((part[:1], part[1:].flip(0))) for part in inputs)
    assert torch.allclose(model(*inputs)[:1], alone, atol=1e-5)
    assert torch.allclose(model(*others)[:1], alone, atol=1e-5)


@pytest.mark.parametrize("name", [*LANGUAGE, *TRANSLATING])
def test_nothing_ahead_is_seen(name):
    model, inputs = build(name), inputs_of(name)
    before = model(*inputs)
    changed = inputs[-1].clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % V
    after = model(*inputs[:-1], changed)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-5)


@pytest.mark.parametrize("name", [*TEXT, *TRANSLATING])
def test_padding_changes_nothing(name):
    model, inputs = build(name), inputs_of(name)
    mask = torch.arange(T) < torch.tensor([[T], [5], [3], [1]])
    tokens, rest = inputs[0], inputs[1:]
    got = model(tokens, *rest, mask)
    for row in range(B):
        size = int(mask[row].sum())
        wanted = model(tokens[row : row + 1, :size], *(part[row : row + 1] for part in rest))[0]
        mine = got[row, :size] if name in (*LANGUAGE, *PER_TOKEN) else got[row]
        assert torch.allclose(mine, wanted, atol=1e-5), row
    other = torch.where(mask, tokens, (tokens + 1) % V)
    again = model(other, *rest, mask)
    real = mask if name in (*LANGUAGE, *PER_TOKEN) else torch.ones(got.shape[:1], dtype=torch.bool)
    assert torch.allclose(again[real], got[real], atol=1e-6)


@pytest.mark.parametrize("name", [*LANGUAGE])
def test_padding_on_the_left_changes_nothing(name):
    model, (tokens,) = build(name), inputs_of(name)
    mask = torch.arange(T) >= torch.tensor([[0], [4], [6], [8]])
    got = model(tokens, mask)
    for row in range(B):
        size = int(mask[row].sum())
        assert torch.allclose(got[row, T - size :], model(tokens[row : row + 1, T - size :])[0], atol=1e-5)


@pytest.mark.parametrize("name", [*TEXT, *TRANSLATING])
def test_empty_rows_stay_finite(name):
    model, inputs = build(name), inputs_of(name)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[2] = False
    assert model(*inputs, mask).isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_state_dict_comes_back(name):
    model, inputs = build(name), inputs_of(name)
    torch.manual_seed(5)
    other = ALL[name]().eval()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(model(*inputs), other(*inputs))
    pointers = [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert len(set(pointers)) == len(pointers)  # safetensors takes no shared tensors


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # torch's own, of its RNNs
@pytest.mark.parametrize("name", ALL)
def test_exports(name):
    model, inputs = build(name), inputs_of(name)
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = tuple({0: batch} for _ in inputs)
    program = torch.export.export(model, inputs, dynamic_shapes=shapes)
    more = inputs_of(name, batch=7)
    assert torch.allclose(program.module()(*more), model(*more), atol=1e-5)


@pytest.mark.parametrize("name", [*LANGUAGE, *TRANSLATING])
def test_step_by_step_equals_all_at_once(name):
    model, inputs = build(name), inputs_of(name)
    target = inputs[-1]
    if name in TRANSLATING:
        target = torch.cat((torch.full((B, 1), model.start), target), 1)
        scores, state = model.begin(inputs[0], None, 16)
        first = 0
    else:
        first = 2
        scores, state = model.begin(target[:, : first + 1], None, 16)
    wanted = model(*inputs[:-1], target)
    for place in range(first, target.shape[1]):
        assert torch.allclose(scores, wanted[:, place], atol=1e-5), place
        if place + 1 < target.shape[1]:
            scores = model.advance(target[:, place + 1], state)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize("name", ["gpt", "gpt2", "bert", "bert-tagger", "bert-classifier", "rnn-classifier"])
def test_exports_with_a_mask(name):
    model, (tokens,) = build(name), inputs_of(name)
    mask = torch.arange(T) < torch.tensor([[T], [5], [3], [1]])
    batch, time = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("time", min=2, max=16)
    shape = {0: batch} if name == "rnn-classifier" else {0: batch, 1: time}  # torch exports its RNNs at one length
    program = torch.export.export(model, (tokens, mask), dynamic_shapes=(shape, shape))
    size = T if name == "rnn-classifier" else 6
    fewer = (tokens[:3, :size], mask[:3, :size])
    got, wanted = program.module()(*fewer), model(*fewer)
    assert torch.allclose(got, wanted, atol=1e-5)
