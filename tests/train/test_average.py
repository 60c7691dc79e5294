"""The moving average against torch's, with tied weights, masks and counts; and the choice of precision."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from toy import Squares, TinyLoader, net, rows, state_of, train, weights

from trainwell.train import evaluate
from trainwell.train.average import Average
from trainwell.train.precision import autocast, choose, has_fast_bfloat16


def test_equals_torchs_average():
    model = net()
    mine = Average(model, 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # its first update copies
    for step in range(1, 30):
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn(each.shape, dtype=each.dtype))
        mine.update(10**6)  # the warm-up of the decay is over
        theirs.update_parameters(model)
        assert step
    live = weights(model)
    with mine.swapped():
        torch.testing.assert_close(weights(model), weights(theirs.module), rtol=1e-10, atol=1e-12)
    assert torch.equal(weights(model), live)


def test_its_decay_warms_up():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, 0.99)
    nn.init.ones_(model.weight)
    average.update(1)
    assert average.shadow[0].item() == pytest.approx(2**-0.75)


def test_tied_weights_come_back_after_a_swap():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    average = Average(model, 0.5)
    with torch.no_grad():
        model[0].weight.add_(1)
    before = weights(model)
    with average.swapped():
        assert not torch.equal(weights(model), before)
    assert torch.equal(weights(model), before)


def test_masks_and_counts_are_left_alone():
    model = nn.BatchNorm1d(2)
    model.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))
    average = Average(model, 0.9)
    model(torch.randn(4, 2))
    average.update(1)
    with average.swapped():
        assert model.num_batches_tracked == 1
        assert torch.equal(model.mask, torch.full((2, 2), -torch.inf).triu(1))
        assert model.running_mean.isfinite().all()


def test_it_judges_during_and_after_training():
    data = TinyLoader(*rows(), 10)
    state = state_of(net(), lr=0.05, ema=0.8)
    train(state, data, data, epochs=5)
    assert evaluate(state, data)["mse"] == pytest.approx(state.best, rel=1e-12)
    without = state_of(net(), lr=0.05, ema=0.8)
    train(without, data, epochs=5)  # nothing to judge by: the average at the end
    assert without.best_weights is not None
    assert evaluate(without, data)["mse"] == pytest.approx(state.best, rel=1e-12)


def test_precision_is_chosen_by_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    assert choose("float32", cpu) == torch.float32 and choose("bfloat16", cpu) == torch.bfloat16
    assert choose("auto", cpu) == (torch.bfloat16 if has_fast_bfloat16(cpu) else torch.float32)
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert choose("auto", cpu) == expected
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, fast=fast: fast)
        assert choose("auto", torch.device("cuda")) == expected
    assert choose("auto", torch.device("mps")) == torch.float32
    with autocast(torch.bfloat16, cpu)():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with autocast(torch.float32, cpu)():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


def test_bfloat16_trains_float32_weights():
    x, y = rows()
    torch.manual_seed(0)
    state = state_of(net().float(), Squares(), lr=0.02)
    state.autocast = autocast(torch.bfloat16, torch.device("cpu"))
    train(state, TinyLoader(x.float(), y.float(), 10), TinyLoader(x.float(), y.float(), 50), epochs=30)
    assert all(each.dtype == torch.float32 for each in state.model.parameters())
    assert state.best < 0.5 * y.var()
