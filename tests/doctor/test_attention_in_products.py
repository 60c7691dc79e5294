"""Attention is looked at in whichever way it is called: as two products, by torch's function, in torch's layer."""

import pytest
import torch
from torch import nn

from trainwell.doctor import Doctor
from trainwell.doctor.probe import Probe
from trainwell.doctor.series import Record
from trainwell.nn.attention import SelfAttention


@pytest.mark.parametrize("bfloat16", [True, False])
def test_the_probe_sees_scores_entropy_and_the_three_layers(bfloat16):
    torch.manual_seed(0)
    model = SelfAttention(16, 2)
    probe = Probe(model, Record())
    probe.listen()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        model(torch.randn(2, 5, 16))
    probe.quiet()
    seen = [each[:2] for each in probe.pending]
    assert sum(name == "attention score" for name, _ in seen) == 1
    assert sum(name == "attention entropy" for name, _ in seen) == 1
    layers = {place.split()[0] for name, place in seen if name == "activation"}
    assert layers == {"query", "key", "value", "output"}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("keys", [16, 12])
def test_scores_in_torchs_own_layer_are_those_that_it_attends_by(first, weights, keys):
    """Of the last position; torch tells the shares themselves where it is asked for them."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(16, 2, batch_first=first, kdim=keys)
    query, key = torch.randn(3, 5, 16), torch.randn(3, 5, keys)
    value = torch.randn(3, 5, 16)
    order = (lambda each: each) if first else (lambda each: each.transpose(0, 1))
    probe = Probe(layer, Record())
    probe.listen()
    given = [order(each) for each in (query, key, value)]
    layer(*given, need_weights=weights)
    probe.quiet()
    _, shares = layer(*given, need_weights=True, average_attn_weights=False)
    (entropy,) = [each for each in probe.pending if each[0] == "attention entropy"]
    last = shares[:, :, -1]
    expected = -(last * last.log()).sum(-1).mean()
    assert torch.isclose(entropy[2][0], expected, atol=1e-5), (entropy, expected)


def test_queries_and_keys_of_torchs_encoder_that_were_blown_up_are_told():
    def told(factor):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        layer.self_attn.in_proj_weight.data[:32] *= factor
        model = nn.Sequential(layer, nn.Flatten(), nn.Linear(96, 3))
        optimizer = torch.optim.SGD(model.parameters(), 1e-3)
        doctor = Doctor(model, optimizer, nn.functional.cross_entropy)
        for _ in range(60):
            x, y = torch.randn(32, 6, 16), torch.randint(3, (32,))
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x, y)
        doctor.close()
        assert not doctor.broken
        return {each.name for each in [*doctor.findings, *doctor.diagnosis.symptoms]}

    assert "transformer-instability" in told(30.0)
    assert "transformer-instability" not in told(1.0)
