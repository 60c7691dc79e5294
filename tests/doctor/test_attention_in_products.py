"""Attention that is learned as two products on a processor is looked at as torch's own function is."""

import pytest
import torch

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
