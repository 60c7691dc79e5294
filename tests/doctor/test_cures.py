"""Cures against what they stand for: the same loss with weights, the same layers begun afresh."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor import replay
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import from_loop
from trainwell.doctor.remedy import Chart, initialize_again
from trainwell.doctor.surgery import weigh_classes

IMBALANCE = Finding("class-imbalance", "target", "warn", "", "", 0.85)


@pytest.mark.parametrize("given", [None, torch.tensor([0.7, 0.2, 0.1])])
def test_rows_weighed_by_their_class_give_the_gradient_of_a_weighted_loss(given):
    torch.manual_seed(0)
    shares = torch.tensor([0.7, 0.2, 0.1])
    model = mlp(5, 8, 3)
    facts = {"loss": "cross_entropy", "classes": 3, "class shares": [[0, 0.7], [1, 0.2], [2, 0.1]]}
    facts["class weights"] = given.tolist() if given is not None else None
    x, y = torch.randn(40, 5), torch.randint(0, 3, (40,))
    rows = F.cross_entropy(model(x), y, reduction="none") * (1 / (3 * shares))[y]
    meant = torch.autograd.grad(rows.mean(), list(model.parameters()))
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy)
    assert weigh_classes(Chart(patient, None, facts, own_loop=False), IMBALANCE)
    F.cross_entropy(model(x), y, weight=given).backward()
    for weight, gradient in zip(model.parameters(), meant, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)
    assert weigh_classes(Chart(patient, None, {**facts, "loss": "mse"}, own_loop=False), IMBALANCE) is None


class Attending(nn.Module):
    """Rows of 8 by 8 ink as eight words. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 10)
        self.rounds = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(32)
        with torch.no_grad():
            for weight in self.parameters():
                if weight.dim() > 1:
                    weight.mul_(gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.rounds(self.embed(x.unflatten(1, (8, 8))))).mean(1))


def test_loud_weights_behind_norms_are_told_and_all_begun_anew():
    healthy = Loop(model=lambda: Attending(1.0), optimizer=lambda m: torch.optim.Adam(m.parameters(), 3e-3), steps=120)
    doctor, _, _ = healthy.run()
    assert "bad-initialization" not in [each.name for each in doctor.findings]
    loud = replace(healthy, model=lambda: Attending(12.0))
    doctor, _, _ = loud.run()
    assert [each.name for each in doctor.findings if each.severity != "note"][:1] == ["bad-initialization"]


def test_attention_is_begun_anew_as_well():
    model = Attending(12.0)
    patient = from_loop(model, SGD(model.parameters(), 0.1), F.cross_entropy)
    initialize_again(Chart(patient, None, {}, own_loop=False), IMBALANCE)
    deviation = float(model.rounds.self_attn.in_proj_weight.detach().std())
    assert deviation < 0.2  # Glorot's for 32 to 96: sqrt(2 / 128) = 0.125


def by_label() -> tuple[torch.Tensor, ...]:
    x, y, held_x, held_y = digits()
    order = y.argsort(stable=True)
    return x[order], y[order], held_x, held_y


def accuracy(loop: Loop, mode: str) -> float:
    _, model, _ = loop.run(mode=mode)
    _, _, held_x, held_y = digits()
    with torch.no_grad():
        return float((model.eval()(held_x).argmax(1) == held_y).float().mean())


def test_rows_in_the_order_of_their_labels_are_drawn_from_all_that_were_seen():
    sorted_rows = Loop(data=by_label, shuffle=False, steps=100)
    assert accuracy(sorted_rows, "watch") < 0.7 < 0.9 < accuracy(sorted_rows, "treat")


def test_replay_keeps_each_row_as_likely_as_any_other(monkeypatch):
    monkeypatch.setattr(replay, "ROWS", 100)
    kept = replay.Replay()
    kept.keep((torch.zeros(8, 2), torch.zeros(8)))
    assert kept.kept is None  # it is not on
    kept.on = True
    for start in range(0, 2000, 50):
        rows = torch.arange(start, start + 50)
        kept.keep((rows[:, None].float(), rows))
    inputs, target = kept.kept
    assert len(target) == len(target.unique()) == 100 and torch.equal(inputs[:, 0].long(), target)
    assert 800 < float(target.float().mean()) < 1200  # 1,000 expected, deviation 58
    kept.keep((torch.zeros(8, 3), torch.zeros(8)))  # of another shape
    assert kept.seen == 2000
