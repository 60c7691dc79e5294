"""Dropout that is called as a function: seen, told where it is heavy, and lightened."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainwell.doctor import Doctor
from trainwell.doctor.dropping import LighterDropout, without_dropout


class Dropping(nn.Module):
    """Two layers, and units left out by a call in between."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.first, self.last = share, nn.Linear(10, 64), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.dropout(self.first(x).relu(), self.share, self.training))


def trained(share: float, mode: str = "watch", steps: int = 300, layer: bool = False) -> tuple[Doctor, float]:
    """Three kinds of rows told apart by their first columns, and the share of other rows that are told right.

    layer: whether a layer drops the units, not a call.
    """
    torch.manual_seed(0)
    parts = nn.Linear(10, 64), nn.ReLU(), nn.Dropout(share), nn.Linear(64, 3)
    model = nn.Sequential(*parts) if layer else Dropping(share)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = Doctor(model, optimizer, mode=mode)
    x = torch.randn(600, 10)
    y = x[:, :3].argmax(1)
    for step in range(steps):
        rows = torch.arange(step * 32, step * 32 + 32) % 500
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert not doctor.broken
    model.eval()
    return doctor, float((model(x[500:]).argmax(1) == y[500:]).float().mean())


def test_a_called_dropout_that_leaves_nothing_is_over_regularized() -> None:
    doctor, _ = trained(0.98)
    assert [each.name for each in doctor.findings if each.severity != "note"][:1] == ["over-regularized"]
    assert doctor.record.facts["dropout"] == pytest.approx(0.98)


def test_it_is_lightened() -> None:
    doctor, right = trained(0.98, "treat")
    assert any("dropout called as a function" in str(each["change"]) for each in doctor.history)
    assert doctor.record.facts["dropout"] == pytest.approx(0.02)
    assert right > trained(0.98)[1]


def test_a_usual_called_dropout_is_told_nothing_of() -> None:
    assert not [each for each in trained(0.3)[0].findings if each.severity != "note"]


@pytest.mark.parametrize("way", ["second", "named", "usual"])
def test_functions_drop_at_most_a_share(way: str) -> None:
    torch.manual_seed(0)
    ones = torch.ones(20_000)
    calls = {
        "second": lambda: functional.dropout(ones, 0.9),
        "named": lambda: functional.dropout(ones, p=0.9),
        "usual": lambda: functional.dropout(ones),
    }
    with LighterDropout(0.1):
        assert float((calls[way]() == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
    with LighterDropout(0.0):
        assert torch.equal(calls[way](), ones)


def test_copies_without_dropout_answer_alike_each_time() -> None:
    model, x = Dropping(0.9).train(), torch.randn(8, 10)
    without_dropout(model, {})
    assert torch.equal(model(x), model(x))


def test_a_layer_that_drops_nearly_all_is_lightened_and_that_is_seen_to_help() -> None:
    doctor, _ = trained(0.98, "treat", layer=True)
    assert doctor.findings[0].name == "over-regularized" and doctor.findings[0].cured
    assert doctor.record.facts["dropout"] == pytest.approx(0.02)
