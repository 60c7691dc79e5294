"""What tutorials do and what looks ill to rules made of plain loops, left alone; and their readers' slips, told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor import Doctor


def loud(doctor: Doctor) -> list[str]:
    assert not doctor.broken
    return [each.name for each in doctor.findings if each.severity != "note"]


def run(
    model: nn.Module,
    loss_of: Callable[[nn.Module], tuple[Tensor, Any, Any]],
    steps: int = 120,
    rate: float = 1e-3,
    loss: Any = None,
    of: type[torch.optim.Optimizer] = torch.optim.Adam,
) -> Doctor:
    """A loop whose steps make a loss and say what the doctor is told beside it."""
    optimizer = of(model.parameters(), lr=rate)  # type: ignore[call-arg]
    doctor = Doctor(model, optimizer, loss)
    for _ in range(steps):
        value, inputs, target = loss_of(model)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        doctor.watch(value, inputs, target)
    doctor.close()
    return doctor


def drawn(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def blots(rows: int) -> Tensor:
    """Dark pictures with some bright places, from 0 to 1 (rows, 144)."""
    few = F.interpolate(drawn(rows, 9).view(rows, 1, 3, 3), size=12, mode="bilinear").flatten(1)
    return (few > 0.7).float()


def test_answers_of_a_sigmoid_may_be_sure_of_themselves() -> None:
    x = blots(2000)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 8), nn.Linear(8, 64), nn.ReLU(),
                          nn.Linear(64, 144), nn.Sigmoid())  # fmt: skip

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = x[torch.randint(2000, (64,))]
        return (model(rows) - rows).square().sum(1).mean(), rows, None

    assert not loud(run(model, step, 300, 3e-3))


def test_shares_of_words_and_who_knows_whom_are_no_raw_units() -> None:
    words = (drawn(900, 200) > 1.5).float()
    words /= words.sum(1, keepdim=True).clamp_min(1)
    near = (torch.cdist(words, words) < 0.25).float()
    near = near / near.sum(1).sqrt() / near.sum(1, keepdim=True).sqrt()
    y = words[:, :100].sum(1).gt(0.5).long()
    torch.manual_seed(0)
    model = nn.Linear(200, 2)

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(200, 2)

        def forward(self, x: Tensor, near: Tensor) -> Tensor:
            return near @ self.layer(x)

    model = Graph()
    doctor = run(model, lambda model: (F.cross_entropy(model(words, near), y), (words, near), y), 60, 0.05)
    assert "input-not-normalized" not in loud(doctor)


@pytest.mark.parametrize(("scale", "told"), [(4.0, False), (60.0, True)])
def test_a_first_loss_that_does_no_harm_is_a_note(scale: float, told: bool) -> None:
    x = drawn(3000, 20)
    y = (x @ drawn(20, 5)).argmax(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5))
    with torch.no_grad():
        model[2].weight.mul_(scale)

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        return F.cross_entropy(model(x[rows]), y[rows]), x[rows], y[rows]

    doctor = run(model, step, 150, 3e-3, F.cross_entropy)
    assert ("wrong-initial-loss" in loud(doctor)) is told, [str(each) for each in doctor.findings]


def test_a_head_with_room_to_spare_is_a_note() -> None:
    x = drawn(3000, 20)
    y = (x @ drawn(20, 3)).argmax(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10))

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        return F.cross_entropy(model(x[rows]), y[rows]), x[rows], y[rows]

    assert not loud(run(model, step, 100, 3e-3, F.cross_entropy))


def test_a_reward_about_nought_has_no_multiples() -> None:
    """Its loss is the likelihood of what was done times what it brought, and means nothing by itself."""
    x = drawn(4000, 6)
    best = (x @ drawn(6, 4)).argmax(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 4))

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(4000, (64,))
        chances = torch.distributions.Categorical(logits=model(x[rows]))
        done = chances.sample()
        gain = (done == best[rows]).float()
        return -(chances.log_prob(done) * (gain - gain.mean())).mean(), None, None

    assert not loud(run(model, step, 250, 3e-3))


def test_a_column_that_meets_a_row_in_a_loss_of_ones_own_is_told() -> None:
    x = drawn(3000, 8)
    y = (x @ drawn(8, 1)).tanh()[:, 0]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))

    def step(model: nn.Module, flat: bool) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        answers = model(x[rows])
        apart = (answers[:, 0] if flat else answers) - y[rows]
        ranks = (answers[:, 0].unsqueeze(1) - answers[:, 0]).abs()  # each with each, as it is meant
        return apart.square().mean().sqrt() + 1e-3 * ranks.mean(), None, None

    assert loud(run(model, lambda model: step(model, False), 60)) == ["loss-head-mismatch"]
    assert not loud(run(model, lambda model: step(model, True), 60))


def test_answers_of_minus_one_in_a_loss_of_ones_own_are_told() -> None:
    x = drawn(3000, 8)
    y = (x @ drawn(8, 1)).sign()[:, 0]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        scores = model(x[rows])[:, 0]
        return 0.7 * F.binary_cross_entropy_with_logits(scores, y[rows]) + 1e-3 * scores.square().mean(), None, None

    assert loud(run(model, step, 60))[0] == "targets-out-of-range"


@pytest.mark.parametrize(("share", "told"), [(1e-5, False), (0.5, True)])
def test_a_penalty_within_the_loss_that_outweighs_the_rows_is_told(share: float, told: bool) -> None:
    x = drawn(3000, 8)
    y = (x @ drawn(8, 1)).tanh()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        penalty = sum(each.abs().sum() for each in model.parameters())
        return F.mse_loss(model(x[rows]), y[rows]) + share * penalty, None, None

    doctor = run(model, step, 60)
    assert (loud(doctor) == ["over-regularized"]) is told, [str(each) for each in doctor.findings]


def test_a_softmax_beside_rows_of_several_classes_is_told() -> None:
    x = drawn(3000, 8)
    y = (x @ drawn(8, 4) > 0).float()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4), nn.Softmax(1))

    def step(model: nn.Module) -> tuple[Tensor, Any, Any]:
        rows = torch.randint(3000, (64,))
        return F.binary_cross_entropy(model(x[rows]), y[rows]), x[rows], y[rows]

    assert loud(run(model, step, 60, loss=F.binary_cross_entropy))[:1] == ["loss-head-mismatch"]


def test_gradients_cleared_between_backward_and_step_are_missed() -> None:
    x = drawn(3000, 8)
    y = (x @ drawn(8, 3)).argmax(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    for _ in range(60):
        rows = torch.randint(3000, (64,))
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    assert loud(doctor) == ["disconnected-parameters"]
