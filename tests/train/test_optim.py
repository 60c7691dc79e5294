"""Optimizers against torch's own and plain statements of their papers, and what weight decay spares."""

import math

import pytest
import torch
from torch import nn
from toy import net, rows

from trainwell.train.optim import OPTIMIZERS, mark_orthogonal, optimizer_for, orthogonalize, parameter_groups


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, number: int = 12) -> torch.Tensor:
    x, y = rows(32)
    for _ in range(number):
        (model(x)[:, 0] - y).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cat([each.detach().flatten() for each in model.parameters()])


def split(model: nn.Module, weight_decay: float) -> list[dict]:
    matrices = [each for each in model.parameters() if each.dim() > 1]
    rest = [each for each in model.parameters() if each.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


TORCH = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01),
    "momentum": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, lr=0.01),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.01),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
}


@pytest.mark.parametrize("name", TORCH)
def test_steps_equal_torch(name):
    mine, theirs = net(), net()
    got = steps(mine, optimizer_for(mine, name=name, lr=0.01, weight_decay=0.1))
    torch.testing.assert_close(got, steps(theirs, TORCH[name](split(theirs, 0.1))), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_and_keeps_its_base_rate(name):
    model = net()
    x, y = rows(32)
    before = (model(x)[:, 0] - y).square().mean().item()
    optimizer = optimizer_for(model, name=name, lr=0.02, weight_decay=0.01)
    steps(model, optimizer, 60)
    assert (model(x)[:, 0] - y).square().mean().item() < 0.8 * before
    assert all(group["initial_lr"] == 0.02 for group in optimizer.param_groups)


def lamb(weight, gradients, lr, decay):
    """Algorithm 2 of arXiv:1904.00962 with bias correction, on one tensor as plain numbers."""
    weight = list(weight)
    first, second = [0.0] * len(weight), [0.0] * len(weight)
    for count, gradient in enumerate(gradients, start=1):
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradient, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradient, strict=True)]
        ratio = [
            (m / (1 - 0.9**count)) / (math.sqrt(v / (1 - 0.999**count)) + 1e-6) + decay * w
            for m, v, w in zip(first, second, weight, strict=True)
        ]
        trust = math.hypot(*weight) / math.hypot(*ratio) if math.hypot(*weight) > 0 and math.hypot(*ratio) > 0 else 1.0
        weight = [w - lr * trust * r for w, r in zip(weight, ratio, strict=True)]
    return weight


def test_lamb_equals_its_paper():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    gradients = torch.randn(7, 2, 3, generator=generator, dtype=torch.float64)
    parameter = nn.Parameter(start.clone())
    optimizer = OPTIMIZERS["lamb"]([{"params": [parameter], "lr": 0.1, "weight_decay": 0.02}])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    expected = lamb(start.flatten().tolist(), [each.flatten().tolist() for each in gradients], 0.1, 0.02)
    torch.testing.assert_close(parameter.flatten().tolist(), expected, rtol=1e-10, atol=1e-12)
    zero = nn.Parameter(torch.zeros(3))
    zero.grad = torch.ones(3)
    OPTIMIZERS["lamb"]([{"params": [zero], "lr": 0.1}]).step()
    assert (zero < 0).all()  # weights of no length still move


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16), (6, 4, 3, 3)])
def test_muon_on_a_matrix_equals_torch(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(5, *shape)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    own = OPTIMIZERS["muon"]([{"params": [mine], "lr": 0.02, "weight_decay": 0.1, "orthogonal": True}])
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        mine.grad, theirs.grad = gradient.clone(), gradient.flatten(1).clone()
        own.step()
        other.step()
    moved = (theirs - start.flatten(1)).norm()
    assert (mine.flatten(1) - theirs).norm() < 0.002 * moved  # both round to bfloat16 on the way


def test_muon_on_other_parameters_is_adamw():
    torch.manual_seed(0)
    start, gradients = torch.randn(5), torch.randn(6, 5)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    own = OPTIMIZERS["muon"]([{"params": [mine], "lr": 0.02, "weight_decay": 0.1}])
    other = torch.optim.AdamW([theirs], lr=0.02, weight_decay=0.1, betas=(0.9, 0.95))
    for gradient in gradients:
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step()
        other.step()
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_orthogonalize_brings_singular_values_near_one():
    for shape in ((40, 10), (10, 40), (20, 20)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert values[:-2].min() > 0.5 and values.max() < 1.3


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_muon_takes_the_hidden_matrices(weight_decay):
    model = nn.Sequential(
        nn.Embedding(9, 4), nn.Linear(4, 5), nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 7), nn.Linear(7, 2)
    )
    groups = mark_orthogonal(model, parameter_groups(model, 0.1, weight_decay))
    orthogonal = {id(each) for group in groups if group["orthogonal"] for each in group["params"]}
    assert orthogonal == {id(model[2].weight), id(model[4].weight)}
    everything = [each for group in groups for each in group["params"]]
    assert len(everything) == len({id(each) for each in everything}) == len(list(model.parameters()))


def test_decay_spares_norms_biases_and_embeddings():
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.LayerNorm([4, 3]), nn.Linear(3, 2)
    )
    decayed, rest = parameter_groups(model, 0.1, 0.3)
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    assert {id(each) for each in decayed["params"]} == {id(model[1].weight), id(model[4].weight)}
    assert len(rest["params"]) == 7


def test_a_network_may_have_its_own_groups():
    class Own(nn.Linear):
        def parameter_groups(self, lr, weight_decay):
            return [{"params": [self.weight], "lr": lr * 10, "weight_decay": weight_decay}]

    for model, own in ((Own(3, 2), 0), (nn.Sequential(nn.BatchNorm1d(3), Own(3, 2)), 1)):
        optimizer = optimizer_for(model, lr=0.1, weight_decay=0.2)
        inner = model[own] if isinstance(model, nn.Sequential) else model
        rates = {id(each): group["initial_lr"] for group in optimizer.param_groups for each in group["params"]}
        assert rates.pop(id(inner.weight)) == 1.0
        assert set(rates.values()) == {0.1} and len(rates) == len(list(model.parameters())) - 1


def test_frozen_and_tied_parameters_come_once_or_not_at_all():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    optimizer = optimizer_for(model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 3
