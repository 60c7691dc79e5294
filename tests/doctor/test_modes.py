"""Evaluations that answer with other weights than those that learn, decay that leaves nothing, steps taken again."""

import copy
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.ward import Mode


def named(doctor: Doctor | None) -> list[str]:
    assert doctor is not None and not doctor.broken
    return [each.name for each in doctor.findings if each.severity != "note"]


class Averaged(nn.Module):
    """Judged by a running average of its weights. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.model, self.decay = mlp(64, 64, 10), decay
        self.mean = copy.deepcopy(self.model).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.mean(x)
        if torch.is_grad_enabled():
            with torch.no_grad():
                for mean, each in zip(self.mean.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(each, 1 - self.decay)
        return functional_call(self.model, dict(self.model.named_parameters()), (x,))


def learning(model: nn.Module) -> SGD:
    return SGD([each for each in model.parameters() if each.requires_grad], 0.1, momentum=0.9)


def test_an_average_that_lags_inside_the_network_is_told():
    slow, _, _ = Loop(model=lambda: Averaged(0.9999), optimizer=learning, evaluations=40).run()
    assert named(slow) == ["wrong-train-eval-mode"]
    quick, _, _ = Loop(model=lambda: Averaged(0.9), optimizer=learning, evaluations=40).run()
    assert named(quick) == []


def averaged_beside(decay: float) -> Doctor:
    """A loop that keeps an average of its weights beside the network, and evaluates that."""
    torch.manual_seed(0)
    x, y, held_x, held_y = digits()
    model = mlp(64, 64, 10)
    mean = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    doctor = Doctor(model, optimizer, F.cross_entropy, held_out=[(held_x, held_y)], steps=160)
    for step in range(160):
        rows = torch.arange(64 * step, 64 * step + 64) % len(x)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, each in zip(mean.parameters(), model.parameters(), strict=True):
                slow.lerp_(each, 1 - decay)
        doctor.watch(loss, x[rows], y[rows])
        if step % 40 == 39:
            with torch.no_grad():
                doctor.evaluated(loss=float(F.cross_entropy(mean(held_x), held_y)))
    doctor.close()
    return doctor


def test_an_average_that_lags_beside_the_network_is_told():
    assert named(averaged_beside(0.9999)) == ["wrong-train-eval-mode"]
    assert named(averaged_beside(0.5)) == []


def test_decay_that_leaves_nothing_is_told_at_once_and_eased():
    def steep(decay: float) -> Loop:
        return Loop(
            model=lambda: mlp(64, 64, 64, 10), optimizer=lambda m: Adam(m.parameters(), 2e-3, weight_decay=decay)
        )

    doctor, model, _ = steep(1.0).run("treat")
    assert named(doctor)[0] == "over-regularized"
    assert doctor is not None and doctor.history[0]["step"] <= 40
    _, _, x, y = digits()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.85
    assert named(steep(1e-4).run()[0]) == []


def test_steps_lost_by_going_back_are_taken_again_as_the_loop_took_them():
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = mlp(64, 32, 10)
    twin = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode="treat", steps=100)
    batches = [(x[64 * place : 64 * place + 64], y[64 * place : 64 * place + 64]) for place in range(20)]
    for one, other in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(one), other)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, one, other)
    assert doctor.first is not None
    doctor.first.into(model, doctor.patient.optimizers)  # type: ignore[union-attr]
    assert doctor.retake.take(doctor, 20) == 20 == doctor.retake.spent
    slow = SGD(twin.parameters(), 0.1, momentum=0.9)
    for one, other in batches:
        slow.zero_grad()
        F.cross_entropy(twin(one), other).backward()
        slow.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
    assert doctor.retake.take(doctor, 50) == 20, "of 100 steps no more than 40 are taken again"


def spoiled(share: float, mode: Mode) -> tuple[Doctor, nn.Sequential]:
    """A loop that takes a share of each gradient alone, as one does that clips before it unscales."""
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode=mode, steps=120)
    for step in range(120):
        rows = torch.arange(64 * step, 64 * step + 64) % len(x)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        for each in model.parameters():
            each.grad.mul_(share)  # type: ignore[union-attr]
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    return doctor, model


def test_a_gradient_that_is_lost_on_its_way_to_the_step_is_told_at_the_first_and_made_anew():
    doctor, _ = spoiled(1e-5, "watch")
    assert named(doctor)[0] == "update-ratio-off" and doctor.findings[0].step == 1
    assert "1.0e-05 of the loss's own" in doctor.findings[0].evidence
    treated, model = spoiled(1e-5, "treat")
    assert "made anew" in treated.history[0]["change"]
    _, _, x, y = digits()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9
    assert named(spoiled(0.25, "watch")[0]) == []


def test_a_norm_over_a_single_number_is_taken_out():
    """Its answer is its bias, whatever comes in, so nothing in front of it can learn."""

    def made() -> tuple[torch.Tensor, ...]:
        x, y, held_x, held_y = digits()
        return x, y[:, None] / 9.0 - 0.5, held_x, held_y[:, None] / 9.0 - 0.5

    loop = Loop(model=lambda: nn.Sequential(mlp(64, 64, 1), nn.LayerNorm(1)), loss=F.mse_loss, data=made)
    doctor, model, _ = loop.run("treat")
    assert doctor is not None and any("norms over a single number" in each["change"] for each in doctor.history)
    _, _, x, y = made()
    assert float((1 - (model(x) - y).square().mean() / y.var()).detach()) > 0.7


def test_a_sum_over_more_rows_is_no_other_network():
    """Held-out errors added up are more than a batch's are, for there are more of them."""
    torch.manual_seed(0)
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), 0.002)
    loss_of = nn.CrossEntropyLoss(reduction="sum")
    halves = [(held_x[:40], held_y[:40]), (held_x[40:80], held_y[40:80])]
    doctor = Doctor(model, optimizer, loss_of, held_out=halves, steps=120)
    for step in range(120):
        rows = torch.arange(64 * step, 64 * step + 64) % len(x)
        optimizer.zero_grad()
        loss = loss_of(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
        if step % 40 == 39:
            with torch.no_grad():
                doctor.evaluated(loss=float(loss_of(model(held_x), held_y)))
    doctor.close()
    assert "wrong-train-eval-mode" not in named(doctor)


class Turned(torch.optim.Optimizer):
    """Momentum that is taken off where it should be added: it drives the weights up the slope that they came down."""

    def __init__(self, parameters: object, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})  # type: ignore[arg-type]

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    kept = self.state[each].setdefault("velocity", torch.zeros_like(each))
                    kept.mul_(-1.2).add_(each.grad)
                    each.sub_(group["lr"] * kept)


def test_an_optimizer_that_ails_itself_gives_place_to_adam():
    loop = Loop(optimizer=lambda model: Turned(model.parameters(), 0.1), evaluations=40)
    doctor, model, _ = loop.run("treat")
    assert doctor is not None and any("by Adam" in each["change"] for each in doctor.history), doctor.history
    _, _, x, y = digits()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9
    assert not torch.isfinite(torch.tensor(loop.run(None)[2][-1])), "the fault does harm"


def test_a_schedule_that_goes_on_below_zero_or_has_no_steps_is_told_and_held():
    def falling(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 100)

    doctor, model, _ = Loop(schedule=falling, evaluations=40).run("treat")
    assert named(doctor)[0] == "gradient-ascent"
    assert doctor is not None and "below zero" in doctor.findings[0].evidence
    _, _, x, y = digits()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9

    def of_none(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float("nan") if step else 1.0)

    doctor, model, _ = Loop(schedule=of_none).run("treat")
    assert named(doctor)[0] == "non-finite-values"
    assert doctor is not None and "learning rate of step" in doctor.findings[0].evidence
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9


def test_a_batch_that_spoiled_the_training_is_not_taken_again():
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), 0.1)
    doctor = Doctor(model, optimizer, F.cross_entropy, mode="treat", steps=100)
    for place in range(20):
        one, other = x[64 * place : 64 * place + 64], y[64 * place : 64 * place + 64]
        one = 1e4 * one if place == 15 else one
        optimizer.zero_grad()
        loss = F.cross_entropy(model(one), other)
        if place != 15:
            loss.backward()
            optimizer.step()
        doctor.watch(loss, one, other)
    assert doctor.first is not None
    doctor.first.into(model, doctor.patient.optimizers)  # type: ignore[union-attr]
    assert doctor.retake.take(doctor, 20) == 20
    assert float(F.cross_entropy(model(x), y).detach()) < 2.1


def test_held_out_rows_that_the_loss_does_not_take_end_no_watching():
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), 0.1)
    odd = [(held_x[:40], held_y[:39])]  # a row without its label
    doctor = Doctor(model, optimizer, F.cross_entropy, held_out=odd, steps=60)
    for step in range(60):
        rows = torch.arange(64 * step, 64 * step + 64) % len(x)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
        if step % 20 == 19:
            doctor.evaluated(loss=1.0)
    doctor.close()
    assert not doctor.broken, doctor.broken
