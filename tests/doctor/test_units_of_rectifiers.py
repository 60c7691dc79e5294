"""On which axis a rectifier's units lie, and batches that are not all of one size, under a doctor that treats."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import digits

from trainwell.doctor import Doctor
from trainwell.doctor.probe import ActivationMode, Probe
from trainwell.doctor.series import Record
from trainwell.models.tabm import TabM


class Members(nn.Module):
    """Four members with a layer of their own each, as TabM lays them out: (groups, batch, members, units)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = TabM(64, (), 10, groups=2, members=4, width=24, bins=0)

    def forward(self, x):
        return self.network(x, x.new_zeros(len(x), 0, dtype=torch.long)).mean(1)


UPWARD = nn.Sequential(
    nn.Linear(64, 6 * 16), nn.Unflatten(1, (6, 4, 4)), nn.ReLU(), nn.ConvTranspose2d(6, 5, 2, 2), nn.ReLU()
)


@pytest.mark.parametrize(
    ("model", "rows", "units"),
    [
        (Members, 30, [24, 24]),
        (lambda: nn.Sequential(nn.Unflatten(1, (4, 4, 4)), nn.Linear(4, 7), nn.ReLU()), 30, [7]),
        (lambda: nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 3, 3), nn.ReLU()), 30, [3]),
        (lambda: nn.Sequential(nn.Unflatten(1, (4, 16)), nn.Conv1d(4, 3, 3), nn.ReLU()), 30, [3]),
        (lambda: UPWARD, 30, [6, 5]),
    ],
)
def test_units_lie_where_the_layer_before_has_put_them(model, rows, units):
    network = model()
    probe = Probe(network, Record())
    with ActivationMode(probe.see):
        network(torch.randn(rows, 64))
    assert [each.numel() for each in probe.alive().values()] == units


def test_a_last_batch_that_is_smaller_ends_no_watching(capsys):
    torch.manual_seed(0)
    x, y, held_x, held_y = digits()
    model = Members()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode="treat", every=1, steps=60, held_out=[(held_x, held_y)])
    for step in range(60):
        rows = slice(0, 64) if step % 4 else slice(64, 88)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
        if step % 10 == 9:
            doctor.evaluated(loss=float(F.cross_entropy(model(held_x), held_y).detach()))
    doctor.close()
    assert not doctor.broken and "stopped watching" not in capsys.readouterr().err
