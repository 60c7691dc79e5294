"""Answers that stand elsewhere or were cut, rows by their length, a sigmoid that a rectifier keeps above a half."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp

from trainwell.doctor import Doctor
from trainwell.doctor.labels_check import cut_answers
from trainwell.doctor.order_check import in_order, misplaced_answers
from trainwell.doctor.sample import Sample

CHANCE = torch.Generator().manual_seed(0)


def sample(inputs: Tensor, target: Tensor, batches: int = 8) -> Sample:
    return Sample([inputs], target, [], [len(inputs) // batches] * batches, list(range(len(inputs))))


def test_answers_two_places_on_are_told():
    text = torch.randint(30, (64, 20), generator=CHANCE)
    for apart, told in ((1, False), (2, True), (3, True)):
        finding = misplaced_answers(sample(text[:, :16], text[:, apart : 16 + apart]), {})
        assert (finding is not None) is told
    assert misplaced_answers(sample(text[:, :16], torch.randint(30, (64, 16), generator=CHANCE)), {}) is None


def test_answers_cut_to_whole_numbers_are_told_where_those_held_out_are_not():
    fine = torch.randn(200, 1, generator=CHANCE) * 3
    parts = [sample(torch.randn(200, 4, generator=CHANCE), each) for each in (fine, fine.round())]
    assert cut_answers(parts[1], parts[0], {}) is not None
    assert cut_answers(parts[1], parts[1], {}) is None, "counts are whole numbers in both"
    assert cut_answers(parts[0], parts[0], {}) is None


def test_rows_by_their_length_are_told():
    def names(lengths: Tensor) -> Tensor:
        rows = torch.randint(1, 27, (len(lengths), 12), generator=CHANCE)
        return torch.where(torch.arange(12) < lengths[:, None], rows, 0)

    lengths = torch.randint(2, 11, (512,), generator=CHANCE)
    labels = torch.randint(5, (512,), generator=CHANCE)
    found = in_order(sample(names(lengths.sort().values), labels), {})
    assert found is not None and "by their length" in found.evidence
    assert in_order(sample(names(lengths), labels), {}) is None
    assert in_order(sample(names(lengths[:128].sort().values), labels[:128]), {}) is None, "few rows come so by chance"
    buckets = lengths.sort().values.view(16, 32)[torch.randperm(16, generator=CHANCE)].flatten()
    assert in_order(sample(names(buckets), labels, batches=16), {}) is None, "batches of one length, shuffled"


class Picture(nn.Module):
    """Shares from 0 to 1, by a sigmoid behind a rectifier or not. x: (batch, 8) -> (batch, 4)"""

    def __init__(self, rectified: bool) -> None:
        super().__init__()
        self.body, self.last = mlp(8, 32, 4), nn.ReLU() if rectified else nn.Identity()
        self.head = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.body(x)))


def test_a_rectifier_in_front_of_the_last_sigmoid_is_told_and_taken_out():
    def trained(rectified: bool, mode: str) -> tuple[Doctor, float]:
        torch.manual_seed(0)
        x = torch.randn(640, 8, generator=torch.Generator().manual_seed(1))
        y = (x[:, :4] > 0).float() * 0.9 + 0.05
        model = Picture(rectified)
        optimizer = Adam(model.parameters(), 1e-2)
        doctor = Doctor(model, optimizer, F.mse_loss, mode=mode, steps=100)  # type: ignore[arg-type]
        loss = torch.tensor(0.0)
        for step in range(100):
            rows = slice(64 * (step % 10), 64 * (step % 10) + 64)
            optimizer.zero_grad()
            loss = F.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
        doctor.close()
        return doctor, float(loss.detach())

    doctor, left = trained(True, "watch")
    assert [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"] and left > 0.08
    treated, left = trained(True, "treat")
    assert "taken out" in treated.history[0]["change"] and left < 0.04
    assert not trained(False, "watch")[0].findings
