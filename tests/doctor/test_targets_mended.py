"""Targets and answers that the loss takes otherwise than they are meant, mended in a loop of one's own."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import digits, mlp

from trainwell.doctor import Doctor


def trained(
    model: nn.Module, loss: Callable[..., Tensor], x: Tensor, y: Tensor, answers=lambda output: output
) -> Doctor:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, loss=loss, mode="treat", steps=200)
    for _ in range(200):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        value = loss(answers(model(x[rows])), y[rows])
        value.backward()
        optimizer.step()
        doctor.watch(value, x[rows], y[rows])
    doctor.close()
    assert not doctor.broken, doctor.broken
    return doctor


def test_a_class_that_the_loss_leaves_out_is_learned():
    x, y, held_x, held_y = digits()
    model = mlp(64, 64, 10)
    doctor = trained(model, nn.CrossEntropyLoss(ignore_index=0), x, y)
    assert [each.name for each in doctor.findings][:1] == ["targets-out-of-range"] and doctor.findings[0].cured
    right = (model(held_x).argmax(1) == held_y)[held_y == 0]
    assert right.float().mean() > 0.9


def test_two_answers_that_are_no_shares_are_taken_for_nought_and_one():
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 1)
    doctor = trained(
        model, F.binary_cross_entropy_with_logits, x, torch.where(y < 3, 1.0, -1.0), lambda output: output[:, 0]
    )
    assert [each.name for each in doctor.findings][:1] == ["targets-out-of-range"] and doctor.findings[0].cured
    with torch.no_grad():
        assert ((model(held_x)[:, 0] > 0) == (held_y < 3)).float().mean() > 0.9


class Squashed(nn.Module):
    """Its answers lie between 0 and 1 by a function, not by a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp(64, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.inner(x))


def test_answers_squashed_in_forward_reach_all_targets_again():
    x, y, held_x, held_y = digits()
    model = Squashed()
    numbers = (y.float() - y.float().mean())[:, None]
    doctor = trained(model, F.mse_loss, x, numbers)
    assert [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"] and doctor.findings[0].cured
    with torch.no_grad():
        assert F.mse_loss(model(held_x), (held_y.float() - y.float().mean())[:, None]) < 0.5 * numbers.var()


def test_answers_are_in_the_targets_shape_where_they_are_learned_from_alone():
    """A loop that takes the first column of what its model gives must not meet a row in evaluation."""
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 1)
    numbers = (y.float() - y.float().mean()) / 3
    doctor = trained(model, F.mse_loss, x, numbers)
    assert [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"] and doctor.findings[0].cured
    with torch.no_grad():
        answers = model(held_x)
    assert answers.shape == (len(held_x), 1)
    assert F.mse_loss(answers[:, 0], (held_y.float() - y.float().mean()) / 3) < 0.5 * numbers.var()


def test_alike_answers_are_not_taken_for_broadcast_ones():
    """Where all answers are nearly alike at first, a column beside a row makes the same loss as the row."""
    x, y, _, _ = digits()
    model = mlp(64, 32, 1)
    nn.init.zeros_(model[-1].weight)
    doctor = trained(model, nn.MSELoss(), x, (y.float() - 4.5) / 3, lambda output: output[:, 0])
    assert not [each for each in doctor.findings if each.name == "loss-head-mismatch"]


def test_squared_errors_of_a_sigmoid_in_the_loss_pull_as_cross_entropy_does():
    x, y, held_x, held_y = digits()
    model = mlp(64, 64, 10)
    nn.init.normal_(model[-1].weight, std=8.0)
    doctor = trained(model, lambda output, target: F.mse_loss(output.sigmoid(), F.one_hot(target, 10).float()), x, y)
    assert [each.name for each in doctor.findings][:1] == ["learning-slowdown"] and doctor.findings[0].cured
    with torch.no_grad():
        assert (model(held_x).argmax(1) == held_y).float().mean() > 0.9


def test_a_batch_that_throws_the_weights_off_again_and_again_is_clipped():
    """One batch in forty has answers a thousand times too large: going back alone would help until the next one."""
    x, y, held_x, held_y = digits()
    torch.manual_seed(0)
    model, numbers = mlp(64, 32, 1), ((y.float() - 4.5) / 3)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, loss=F.mse_loss, mode="treat", steps=400)
    for step in range(400):
        rows = torch.randint(len(x), (64,))
        target = numbers[rows] * (1e3 if step % 90 == 75 else 1.0)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x[rows]), target)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], target)
    doctor.close()
    assert not doctor.broken, doctor.broken
    assert [each.name for each in doctor.findings][:1] == ["loss-spike"] and doctor.findings[0].cured, str(doctor)
    assert any("clipped" in each["change"] for each in doctor.history)
    with torch.no_grad():
        assert F.mse_loss(model(held_x), ((held_y.float() - 4.5) / 3)[:, None]) < 0.3


def test_embeddings_that_begin_far_too_large_are_begun_anew():
    torch.manual_seed(0)
    letters = torch.randint(0, 30, (2000, 4))
    answers = (letters[:, 0] + letters[:, 1]) % 3
    for size in (30.0, 1.0):
        model = nn.Sequential(nn.Embedding(30, 16), nn.Flatten(), nn.LayerNorm(64), mlp(64, 64, 3))
        nn.init.normal_(model[0].weight, std=size)
        doctor = trained(model, F.cross_entropy, letters, answers)
        assert [each.name for each in doctor.findings][:1] == (["bad-initialization"] if size > 2 else [])
        assert (float(model[0].weight.detach().std()) < 2) is True


def test_a_sigmoid_of_the_loop_before_a_loss_of_scores_is_left_out():
    """Between network and loss, where neither's own layers show it."""
    x, y, held_x, held_y = digits()
    model = mlp(64, 64, 10)
    doctor = trained(model, nn.BCEWithLogitsLoss(), x, F.one_hot(y, 10).float(), torch.sigmoid)
    assert [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"] and doctor.findings[0].cured
    with torch.no_grad():
        assert (model(held_x).argmax(1) == held_y).float().mean() > 0.9


def test_a_row_that_the_loop_makes_of_a_column_before_columns_of_targets_is_left_out():
    x, y, held_x, held_y = digits()
    model = mlp(64, 32, 1)
    numbers = ((y.float() - y.float().mean()) / 3)[:, None]
    doctor = trained(model, nn.MSELoss(), x, numbers, lambda output: output[:, 0])
    assert [each.name for each in doctor.findings][:1] == ["loss-head-mismatch"] and doctor.findings[0].cured
    with torch.no_grad():
        assert F.mse_loss(model(held_x), ((held_y.float() - y.float().mean()) / 3)[:, None]) < 0.5 * numbers.var()


def test_later_windows_of_one_series_may_lie_higher():
    torch.manual_seed(0)
    walk = torch.randn(2000).cumsum(0) / 20
    windows = (walk / walk[:1400].std()).unfold(0, 13, 1)
    x, y = windows[:, :12, None], windows[:, 12:]

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.inner(x)[0][:, -1])

    later = x[1400:], y[1400:]
    for held, wanted, found in ((later[0] + 1, later[1] + 1, False), (1000 * later[0], later[1], True)):
        torch.manual_seed(0)
        model = Recurrent()
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        doctor = Doctor(model, optimizer, loss=nn.MSELoss(), held_out=[(held, wanted)], steps=60)
        for _ in range(60):
            rows = torch.randint(1400, (32,))
            optimizer.zero_grad()
            loss = F.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
        doctor.close()
        assert ("preprocessing-mismatch" in [each.name for each in doctor.findings]) is found


def test_steps_taken_again_go_down_where_the_loop_goes_up():
    """The doctor sees the sign after some steps, takes them again from the first weights, and turns each gradient."""
    x, y, held_x, held_y = digits()
    torch.manual_seed(0)
    model = mlp(64, 64, 10)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, loss=F.cross_entropy, mode="treat", steps=200)
    for _ in range(200):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        (-loss).backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert doctor.findings[0].name == "gradient-ascent" and doctor.findings[0].cured, str(doctor)
    assert "made up for" in doctor.history[0]["change"] and len(doctor.history) == 1
    with torch.no_grad():
        assert (model(held_x).argmax(1) == held_y).float().mean() > 0.9


def test_a_recurrence_along_the_batch_is_seen_though_the_last_place_is_alike_in_all_rows():
    """Pictures read row by row, whose last one is empty: only what lies between differs."""

    class Scan(nn.Module):
        def __init__(self, first: bool) -> None:
            super().__init__()
            self.inner, self.head = nn.LSTM(8, 32, batch_first=first), nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.inner(x.view(-1, 9, 8))[0][:, -1])

    x, y, _, _ = digits()
    for first in (True, False):
        torch.manual_seed(0)
        model = Scan(first)
        doctor = Doctor(model, torch.optim.SGD(model.parameters(), 0.1), loss=F.cross_entropy)
        rows = torch.cat([x, torch.zeros(len(x), 8)], 1).view(-1, 9, 8)
        doctor.check([(rows[at : at + 64], y[at : at + 64]) for at in range(0, 512, 64)])
        assert ("cross-sample-leak" in [each.name for each in doctor.findings]) is not first


def test_a_few_equal_numbers_far_from_all_others_are_told_in_sequences_and_columns():
    torch.manual_seed(0)
    for shape in ((512, 6), (64, 20, 3)):
        for planted in (True, False):
            x = torch.randn(shape)
            if planted:
                x[::20, ..., 0] = -9999.0
            model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 1))
            doctor = Doctor(model, torch.optim.SGD(model.parameters(), 0.01), loss=nn.MSELoss())
            doctor.check([(each, torch.randn(len(each), 1)) for each in ((x - x.mean()) / x.std()).split(16)])
            assert ("bad-features" in [each.name for each in doctor.findings]) is planted


def test_rows_that_are_standardized_already_pass_the_standardizing_hook():
    """Where the transform was forgotten for training alone, held-out rows must not be scaled a second time."""
    x, y, held_x, held_y = digits()
    model = mlp(64, 64, 10)
    doctor = trained(model, F.cross_entropy, 90 * x + 120, y)
    assert [each.name for each in doctor.findings][:1] == ["input-not-normalized"] and doctor.findings[0].cured
    with torch.no_grad():
        for rows in (90 * held_x + 120, held_x):
            assert (model(rows).argmax(1) == held_y).float().mean() > 0.85


def test_a_row_a_batch_is_judged_by_the_mean_of_its_losses():
    """Most single rows are answered well by a network that answers others wildly."""
    x, y, held_x, held_y = digits()
    torch.manual_seed(0)
    model, numbers = mlp(64, 64, 64, 1), ((y.float() - 4.5) / 3)[:, None]
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    doctor = Doctor(model, optimizer, loss=F.mse_loss, mode="treat", steps=500)
    for step in range(500):
        rows = torch.randint(len(x), (1,))
        optimizer.zero_grad()
        loss = F.mse_loss(model(x[rows]), numbers[rows])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], numbers[rows])
        if step % 100 == 99:
            with torch.no_grad():
                doctor.evaluated(loss=float(F.mse_loss(model(held_x), ((held_y.float() - 4.5) / 3)[:, None])))
    doctor.close()
    assert not doctor.broken, doctor.broken
    assert [each.name for each in doctor.findings][:1] == ["batch-too-small"], str(doctor)
    assert any("32 rows" in each["change"] for each in doctor.history)
