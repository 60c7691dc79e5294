"""Grafts into any loop: each changes a small network, or says that it does not apply."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the benchmarks lie beside the package

from benchmarks.doctor.grafts import GRAFTS, NOT_APT, Plan, as_list, drawn, part_of


def small() -> Plan:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return Plan([model], [torch.optim.AdamW(model.parameters(), lr=1e-2)], 40)


def trained(name: str) -> torch.Tensor:
    """The weights after some steps, with this graft or without any."""
    plan = small()
    if name:
        GRAFTS[name][0](plan)
    (model,), (optimizer,) = plan.models, plan.optimizers
    for step in range(plan.steps):
        chance = torch.Generator().manual_seed(step)
        x = torch.randn(16, 4, generator=chance)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), x[:, :3].argmax(1)).backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("name", GRAFTS)
def test_a_graft_changes_what_is_learned_or_is_told_by_itself(name: str) -> None:
    torch.manual_seed(0)
    same = torch.equal(trained(name), trained(""))
    assert same == (name in ("all outputs kept", "late steps six times as long", "always in training mode"))


def test_what_has_no_rectifier_takes_no_dead_ones() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(LookupError, match=NOT_APT):
        GRAFTS["biases of minus eight"][0](Plan([model], [torch.optim.SGD(model.parameters(), lr=0.1)], 10))


def test_grafts_are_drawn_by_the_name_of_the_loop_alone() -> None:
    assert drawn("one", 5) == drawn("one", 5) != drawn("two", 5)
    assert {part_of(f"loop {number}") for number in range(20)} == {"open", "kept"}


def test_networks_are_taken_out_of_whatever_holds_them() -> None:
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    assert as_list({"a": one, "b": two}, nn.Module) == [one, two]
    assert as_list(one, nn.Module) == [one] and as_list(None, nn.Module) == []
