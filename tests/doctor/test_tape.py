"""A loop's own loss, made again from a tape of its step: against the loss and the gradient by hand."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import Doubled
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.overrides import _get_current_function_mode_stack

from trainwell.doctor import Doctor
from trainwell.doctor.patient import leaving_no_trace
from trainwell.doctor.tape import Recorder, Tape

ROWS = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
WANTED = torch.randn(24, 1, generator=torch.Generator().manual_seed(1))
Loss = Callable[[nn.Module], Tensor]


def recorded(model: nn.Module, loss_of: Loss) -> tuple[Tape | None, Tensor]:
    """The tape of one pass there and back, and its loss."""
    recorder = Recorder(model, lambda: False)
    recorder.begin()
    loss = loss_of(model)
    loss.backward()
    recorder.end()
    assert not _get_current_function_mode_stack()
    return recorder.tape(), loss.detach()


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), *layers, nn.Linear(8, 1))


def squares(model: nn.Module) -> Tensor:
    return F.mse_loss(model(ROWS), WANTED)


def with_a_penalty(model: nn.Module) -> Tensor:
    return squares(model) + 1e-3 * sum(each.abs().sum() for each in model.parameters())


def written_in_place(model: nn.Module) -> Tensor:
    answers = torch.zeros(24, 1)
    for start in range(0, 24, 8):
        answers[start : start + 8] = model(ROWS[start : start + 8])
    return (answers - WANTED).abs().mean()


def through_a_view(model: nn.Module) -> Tensor:
    given, answers = model(ROWS).flatten(), torch.zeros(24, 2)
    answers[:, 1].copy_(given)
    return (answers - WANTED).square().mean()


def slope_of_the_answers(model: nn.Module) -> Tensor:
    rows = ROWS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(rows).sum(), rows, create_graph=True)
    return squares(model) + (slope.norm(dim=1) - 1).square().mean()


def from_its_own_answers(model: nn.Module) -> Tensor:
    with torch.no_grad():
        wanted = 0.5 * WANTED + 0.5 * model(ROWS)
    return F.smooth_l1_loss(model(ROWS), wanted)


def of_noised_rows(model: nn.Module) -> Tensor:
    return F.mse_loss(model(ROWS + 0.1 * torch.randn_like(ROWS)), WANTED)


def in_halves(model: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        answers = model(ROWS)
    return F.mse_loss(answers.float(), WANTED)


LOSSES = (
    squares, in_halves, with_a_penalty, written_in_place, through_a_view, slope_of_the_answers, from_its_own_answers,
    of_noised_rows,
)  # fmt: skip


@pytest.mark.parametrize("loss_of", LOSSES, ids=lambda each: each.__name__)
def test_other_weights_give_the_loss_and_the_gradient_that_the_loop_would_make(loss_of: Loss) -> None:
    model, other = network(nn.Tanh()), network(nn.Tanh())
    tape, _ = recorded(model, loss_of)
    with torch.no_grad():
        for each in other.parameters():
            each.add_(0.3 * torch.randn_like(each))
    assert tape is not None
    made = tape.loss(other)
    made.backward()
    found = [each.grad.clone() for each in other.parameters() if each.grad is not None]
    other.zero_grad()
    if loss_of in (of_noised_rows, from_its_own_answers):
        return  # noise, and what was answered before without gradient, are those of the step, see below
    wanted = loss_of(other)
    wanted.backward()
    assert torch.equal(made, wanted)
    assert all(torch.equal(a, b.grad) for a, b in zip(found, other.parameters(), strict=True) if b.grad is not None)


@pytest.mark.parametrize("loss_of", LOSSES, ids=lambda each: each.__name__)
def test_the_same_weights_give_the_very_loss_that_was_heard(loss_of: Loss) -> None:
    model = network(nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU())
    copied = network(nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU())
    copied.load_state_dict(model.state_dict())
    tape, loss = recorded(model, loss_of)
    assert tape is not None
    with leaving_no_trace():
        assert torch.equal(tape.loss(copied), loss)


def test_recurrent_layers_and_weights_that_are_made_of_others_are_heard() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(2, 5, batch_first=True), weight_norm(nn.Linear(5, 1))

        def forward(self, rows: Tensor) -> Tensor:
            return self.head(self.lstm(rows.view(-1, 3, 2))[0][:, -1])

    torch.manual_seed(0)
    model, other = Reader(), Reader()
    tape, loss = recorded(model, squares)
    assert tape is not None and torch.equal(tape.loss(model), loss) and torch.equal(tape.loss(other), squares(other))


def test_neither_numbers_nor_gradients_of_the_loop_are_touched() -> None:
    model, center = network(nn.BatchNorm1d(8)), nn.Parameter(torch.ones(1))
    count = torch.zeros(1)

    def loss_of(model: nn.Module) -> Tensor:
        answers = model(ROWS)
        count.add_(answers.detach().mean())
        return (answers - center).square().mean() + 0 * count.sum()

    tape, _ = recorded(model, loss_of)
    assert tape is not None and center.grad is not None
    other = network(nn.BatchNorm1d(8))
    before = [each.clone() for each in (*model.state_dict().values(), count, center.grad)]
    for _ in range(3):
        tape.loss(other).backward()
    after = [*model.state_dict().values(), count, center.grad]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_a_function_of_the_loops_own_gives_makes_no_tape() -> None:
    assert recorded(network(), lambda model: Doubled.apply(squares(model)))[0] is None


def test_weights_that_are_moved_on_the_way_make_no_tape() -> None:
    def up_and_down(model: nn.Module) -> Tensor:
        squares(model).backward()
        with torch.no_grad():
            for each in model.parameters():
                each.add_(0.05 * each.grad)
        return squares(model)

    assert recorded(network(), up_and_down)[0] is None


def test_networks_that_run_at_once_make_no_tape() -> None:
    model = network()
    weights = {name: torch.stack([each, each]) for name, each in model.named_parameters()}

    def crowd(model: nn.Module) -> Tensor:
        answers = torch.vmap(lambda own: torch.func.functional_call(model, own, (ROWS,)))(weights)
        return squares(model) + answers.mean()

    tape, _ = recorded(model, crowd)
    assert tape is None


def test_rows_that_are_written_over_later_are_noticed() -> None:
    model, rows = network(), ROWS.clone()
    tape, _ = recorded(model, lambda model: model(rows).square().mean())
    rows.mul_(2)
    assert tape is not None
    with pytest.raises(RuntimeError, match="written over"):
        tape.loss(model)


def test_a_recorder_whose_loop_was_left_makes_way_for_the_next() -> None:
    left, model = Recorder(network(), lambda: False), network()
    left.begin()
    tape, loss = recorded(model, squares)
    assert tape is not None and torch.equal(tape.loss(model), loss) and not left.calls


def test_modes_that_a_loop_enters_are_left_in_their_order() -> None:
    model = network()
    recorder = Recorder(model, lambda: False)
    with torch.device("cpu"):
        recorder.begin()  # not within a mode of the loop's
        assert recorder not in _get_current_function_mode_stack()
        squares(model).backward()
    recorder.begin()
    mode = torch.device("cpu")
    with mode:
        squares(model).backward()
        recorder.end()  # not while a mode of the loop's lies above it
        assert recorder in _get_current_function_mode_stack()
    recorder.end()
    assert not _get_current_function_mode_stack()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["tanh", "mul", "cat", "index", "add_", "dropout", "detach", "sort"]), max_size=8))
def test_whatever_is_called_is_made_again(names: list[str]) -> None:
    model = network(nn.Tanh())
    steps: dict[str, Callable[[Tensor], Tensor]] = {
        "tanh": torch.tanh,
        "mul": lambda value: value * value.mean(0),
        "cat": lambda value: torch.cat([value, ROWS[:, :1]], 1),
        "index": lambda value: value[torch.arange(23, -1, -1)],
        "add_": lambda value: value.clone().add_(1.0),
        "dropout": lambda value: F.dropout(value, 0.2),
        "detach": lambda value: value + value.detach(),
        "sort": lambda value: value.sort(0).values,
    }

    def loss_of(model: nn.Module) -> Tensor:
        value = model(ROWS)
        for name in names:
            value = steps[name](value)
        return (value - WANTED).square().mean()

    tape, loss = recorded(model, loss_of)
    assert tape is not None and torch.equal(tape.loss(model), loss)


@pytest.mark.parametrize("told", ["a score", "another number"])
def test_copies_go_by_what_is_learned_from_whatever_is_told(told: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    doctor = Doctor(model, optimizer)
    for _ in range(60):
        rows = torch.randn(64, 6)
        loss = (model(rows) - rows[:, :1]).abs().pow(1.5).mean() + 1e-4 * model[0].weight.abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(1 - loss.detach() if told == "a score" else torch.randn(()))
    doctor.close()
    assert not doctor.broken and doctor.tapes.enough and {tape.times for tape in doctor.tapes.tapes} == {1.0}
    assert not any(each.name == "gradient-ascent" and each.step <= 1 for each in doctor.findings)


def loop(doctor_of: Callable[..., Doctor] | None, rate: float, before: bool = False) -> tuple[Doctor | None, nn.Module]:
    """A loop with a loss of its own, of which it tells nothing but the number."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    doctor = doctor_of(model, optimizer) if doctor_of is not None else None
    rows = torch.randn(4000, 6)
    wanted = (rows[:, :1] * rows[:, 1:2]).tanh() + rows[:, 2:3]
    for _ in range(120):
        at = torch.randint(4000, (64,))
        loss = (model(rows[at]) - wanted[at]).abs().pow(1.5).mean() + 1e-4 * model[0].weight.abs().sum()
        optimizer.zero_grad()
        loss.backward()
        if before and doctor is not None:
            doctor.watch(loss)
        optimizer.step()
        if not before and doctor is not None:
            doctor.watch(loss)
    if doctor is not None:
        doctor.close()
    return doctor, model


def test_evaluations_between_steps_take_the_ways_that_they_take_unwatched() -> None:
    """Torch has faster ways, with other roundings, that it leaves where a mode is on."""

    class Network(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            modes.append((self.training, len(_get_current_function_mode_stack())))
            return super().forward(rows)

    modes: list[tuple[bool, int]] = []
    torch.manual_seed(0)
    model = Network(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    doctor = Doctor(model, optimizer)
    for step in range(8):
        loss = squares(model.train()) + 1e-3 * model.weight.abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss)
        if step > 3:
            with torch.no_grad():
                model.eval()(ROWS)
    assert doctor.tapes.enough and modes.count((True, 1)) > 2
    assert modes.count((False, 0)) == 4


@pytest.mark.parametrize("before", [False, True], ids=["told after the step", "told before it"])
def test_a_loop_of_which_nothing_is_told_is_tried_on_copies(before: bool) -> None:
    doctor, _ = loop(Doctor, 1e-5, before)
    assert doctor is not None and not doctor.broken
    assert [each.name for each in doctor.findings] == ["learning-rate-too-low"]
    assert "twin" in doctor.findings[0].statistic
    assert not _get_current_function_mode_stack()


def test_a_sound_loop_of_which_nothing_is_told_has_nothing_and_is_left_as_it_was() -> None:
    doctor, watched = loop(Doctor, 0.05)
    _, alone = loop(None, 0.05)
    assert doctor is not None and not doctor.findings and doctor.tapes.enough
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))
