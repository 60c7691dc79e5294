"""What guessing costs by losses that are weighed, scaled, summed or taken by hand, and what a ridge learns beside them;
what of a treatment is on its way back."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor import Doctor
from trainwell.doctor.aftercare import does_harm
from trainwell.doctor.dynamics import rare_come
from trainwell.doctor.finding import CannotJudge, Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.remedy import Chart, revive_units
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record
from trainwell.doctor.surgery import ResidualSeriesConvolution, straighten
from trainwell.doctor.yardstick import table_of_tokens

Cost = Callable[[Tensor, Tensor], Tensor]


def guessing(cost: Cost, y: Tensor) -> float:
    """What the doctor takes guessing to cost, after a few steps."""
    torch.manual_seed(0)
    x = torch.randn(len(y), 6)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, y.shape[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    doctor = Doctor(model, optimizer, loss=cost, mode="watch")
    for at in range(0, len(y), 64):
        optimizer.zero_grad()
        loss = cost(model(x[at : at + 64]), y[at : at + 64])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at : at + 64], y[at : at + 64])
    doctor.close()
    assert not doctor.broken
    return float(doctor.record.facts["prior loss"])


NUMBERS = torch.randn(1024, 8, generator=torch.Generator().manual_seed(0))
COSTS: dict[str, Cost] = {
    "a mean": F.mse_loss,
    "four times a mean": lambda output, target: 4 * F.mse_loss(output, target),
    "twice a sum over each row, by hand": lambda output, target: 2 * (output - target).square().sum(-1).mean(),
    "a sum over all": lambda output, target: F.mse_loss(output, target, reduction="sum"),
}


@pytest.mark.parametrize(("name", "times"), zip(COSTS, (1, 4, 16, 64 * 8), strict=True))
def test_a_loss_that_is_a_multiple_of_the_mean(name: str, times: float) -> None:
    assert guessing(COSTS[name], NUMBERS) == pytest.approx(times * float(NUMBERS.var(0).mean()), rel=0.1)


@pytest.mark.parametrize("weight", [1.0, 20.0])
def test_answers_of_one_that_weigh_more(weight: float) -> None:
    y = (torch.rand(1024, 1, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    heavier = torch.tensor([weight])
    grid = torch.linspace(-6, 6, 1201)
    best = min(float(F.binary_cross_entropy_with_logits(each.expand_as(y), y, pos_weight=heavier)) for each in grid)
    found = guessing(lambda output, target: F.binary_cross_entropy_with_logits(output, target, pos_weight=heavier), y)
    assert found == pytest.approx(best, rel=0.25)  # of the first rows' share, not of all


def test_the_best_constant_answer_by_hubers_loss() -> None:
    y = 3 * NUMBERS[:, :1]
    best = min(float(F.huber_loss(each.expand_as(y), y)) for each in torch.linspace(-1, 1, 201))
    assert guessing(F.huber_loss, y) == pytest.approx(best, rel=0.15)


@pytest.mark.parametrize("ignored", [None, 0])
def test_places_that_a_loss_leaves_out_teach_a_table_nothing(ignored: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 20, (400, 24), generator=generator)
    target = torch.randint(1, 20, (400, 24), generator=generator)
    tokens[:, 12:], target[:, 12:] = 0, 0  # padding, whose answer is known at once
    facts = {"loss": "cross_entropy", "classes": 20} | ({"ignore index": ignored} if ignored is not None else {})
    with pytest.raises(CannotJudge, match="both parts"):  # what it learns of the one is noted before
        table_of_tokens(Sample([tokens], target), None, facts)
    assert (facts["ridge"] > 0.2) is (ignored is None)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [(np.full(12, 3.0), True), (np.linspace(3.0, 2.9, 12), True), (np.linspace(4.0, 0.7, 12), False)],
    ids=["high", "as good as high", "on its way back"],
)
def test_a_treatment_does_harm_unless_the_loss_comes_back(losses: np.ndarray, expected: bool) -> None:
    assert does_harm(losses, 0.5, 0.4) is expected


@pytest.mark.parametrize(("latest", "expected"), [([0.6, 0.7], True), ([0.1, 0.6], False), ([0.2, 0.1], False)])
def test_a_rare_class_has_come_where_two_evaluations_recognize_it(latest: list[float], expected: bool) -> None:
    record = Record()
    for step, value in enumerate([0.0, 0.0, *latest]):
        record.add(50 * step + 50, "recall", "", value)
    assert rare_come(record) is expected


def test_a_deep_stack_of_convolutions_over_series_is_made_residual() -> None:
    torch.manual_seed(0)
    parts = [part for _ in range(6) for part in (nn.Conv1d(8, 8, 3, 1, 1), nn.Sigmoid())]
    model = nn.Sequential(nn.Conv1d(4, 8, 3, 1, 1), nn.Sigmoid(), *parts, nn.Flatten(), nn.Linear(8 * 20, 2))
    x = torch.randn(16, 4, 20)
    patient = Patient(model, {"": torch.optim.Adam(model.parameters())})
    finding = Finding("vanishing-gradient", "0", "warn", "", "", 0.9, 1)
    assert "residual" in str(straighten(Chart(patient, None, {}, own_loop=False), finding))
    assert sum(isinstance(each, ResidualSeriesConvolution) for each in model) == 6
    model(x).square().sum().backward()
    assert model(x).shape == (16, 2) and float(model[0].weight.grad.abs().max()) > 1e-3


@pytest.mark.parametrize(("share", "expected"), [(1.0, "layers initialized again"), (0.5, "dead units")])
def test_layers_dead_as_a_whole_before_any_step_are_all_begun_anew(share: float, expected: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for each in model:
            if isinstance(each, nn.Linear):
                each.bias.fill_(-8.0)
    chart = Chart(Patient(model, {"": torch.optim.Adam(model.parameters())}), None, {}, own_loop=False)
    chart.feeds, chart.dead = {"1": "0"}, {"1": torch.ones(8, dtype=torch.bool)}
    finding = Finding("dying-relu", "1", "critical", "", "", 0.9, 0, statistic={"value": share})
    with torch.no_grad():
        assert expected in str(revive_units(chart, finding))
    assert float(model[0].bias.min()) > -1 and (float(model[2].bias) > -1) is (share == 1.0)
