"""How a loop makes its loss, found out at its first step: shapes, functions, models that make it themselves."""

import pytest
import torch
from loops import Doubled
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor import Doctor
from trainwell.doctor.acquaint import _one_hot

ROWS, COLUMNS = 64, 6


def numbers() -> Tensor:
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))


def network(outputs: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(COLUMNS, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))


def watched(model: nn.Module, make, told=None, batch=None, steps: int = 3, **doctors) -> Doctor:
    """Some steps of a loop: make() gives its loss, batch what the doctor is told beside it."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    doctor = Doctor(model, optimizer, told, **doctors)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = make()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, *(batch() if batch is not None else ()))
    assert not doctor.broken, doctor.broken
    return doctor


def made_anew(doctor: Doctor) -> float:
    """The loss of the latest batch on the present weights, as the doctor makes it."""
    patient = doctor.patient
    assert patient is not None
    patient.model.eval()
    with torch.no_grad():
        return float(patient.loss(patient.model, doctor.batches[-1]))


X, CLASS, ONE = numbers(), torch.arange(ROWS) % 3, (torch.arange(ROWS) % 2).float()
SHAPES = {
    "a score a row, squeezed": (1, ONE, lambda out, y: F.binary_cross_entropy_with_logits(out.squeeze(1), y)),
    "a score a row, targets raised": (1, ONE, lambda out, y: F.mse_loss(out, y[:, None])),
    "classes": (3, CLASS, F.cross_entropy),
    "labels as numbers": (1, ONE.long(), lambda out, y: F.binary_cross_entropy_with_logits(out.flatten(), y.float())),
    "one-hot": (3, CLASS, lambda out, y: F.mse_loss(out, F.one_hot(y).float())),
    "smoothed": (3, CLASS, lambda out, y: F.cross_entropy(out, y, label_smoothing=0.1)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_usual_loss_that_was_not_told_is_known_by_its_value(name: str) -> None:
    outputs, target, loss = SHAPES[name]
    model = network(outputs)
    doctor = watched(model, lambda: loss(model(X), target), batch=lambda: (X, target))
    assert made_anew(doctor) == pytest.approx(float(loss(model(X), target).detach()), rel=1e-4)


@pytest.mark.parametrize("kind", [nn.BCEWithLogitsLoss, nn.MSELoss, nn.SmoothL1Loss])
def test_a_told_loss_is_called_as_the_loop_calls_it(kind) -> None:
    model, loss = network(1), kind()
    doctor = watched(model, lambda: loss(model(X).squeeze(1), ONE), loss, lambda: (X, ONE))
    assert made_anew(doctor) == pytest.approx(float(loss(model(X).squeeze(1), ONE).detach()), rel=1e-4)
    doctor.close()
    assert "loss-head-mismatch" not in [each.name for each in doctor.findings]


def test_a_penalty_beside_a_told_module_does_not_hide_how_it_is_called() -> None:
    model, loss = network(1), nn.MSELoss()

    def make() -> Tensor:
        return loss(model(X).squeeze(1), ONE) + 0.1 * sum(each.square().sum() for each in model.parameters())

    doctor = watched(model, make, loss, lambda: (X, ONE))
    assert made_anew(doctor) == pytest.approx(float(loss(model(X).squeeze(1), ONE).detach()), rel=1e-4)


def test_a_column_compared_with_a_row_stays_a_fault() -> None:
    model = network(1)
    doctor = watched(model, lambda: F.mse_loss(model(X), ONE), F.mse_loss, lambda: (X, ONE), steps=60)
    doctor.close()
    assert "loss-head-mismatch" in [each.name for each in doctor.findings]


class Speller(nn.Module):
    """Letters to the next ones, the loss included. letters, padding, labels: (rows, time)"""

    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head, self.form = nn.Embedding(9, 8), nn.Linear(8, 9), form

    def forward(self, letters: Tensor, padding: Tensor | None = None, labels: Tensor | None = None):
        scores = self.head(self.table(letters))
        loss = None if labels is None else F.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=-100)
        if self.form == "dict":
            return {"loss": loss, "logits": scores}
        return (loss, scores) if self.form == "tuple" else loss


LETTERS = torch.randint(1, 9, (32, 10), generator=torch.Generator().manual_seed(0))
NEXT = LETTERS.roll(-1, 1)


@pytest.mark.parametrize("form", ["dict", "tuple", "alone"])
@pytest.mark.parametrize("told", ["batch", "loss alone"])
def test_a_model_that_makes_its_loss_is_asked_for_it(form: str, told: str) -> None:
    model = Speller(form)
    batch = {"letters": LETTERS, "labels": NEXT}

    def make() -> Tensor:
        made = model(**batch)
        return made["loss"] if form == "dict" else made[0] if form == "tuple" else made

    doctor = watched(model, make, batch=(lambda: (batch,)) if told == "batch" else None, steps=5)
    assert made_anew(doctor) == pytest.approx(float(make().detach()), rel=1e-4)
    inputs, target = doctor.batches[-1]
    assert target is NEXT and (inputs[0] if isinstance(inputs, tuple) else inputs) is LETTERS
    if form != "alone":
        answer = doctor.patient.output(model, doctor.batches[-1])  # type: ignore[union-attr]
        assert answer is not None and answer.shape == (32, 10, 9)


def test_a_loss_of_answers_alone_is_made_of_all_of_them() -> None:
    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.eye = network(4)

        def forward(self, anchor: Tensor, alike: Tensor, unlike: Tensor) -> tuple[Tensor, ...]:
            return self.eye(anchor), self.eye(alike), self.eye(unlike)

    model, loss = Thrice(), nn.TripletMarginLoss()
    rows = X, X + 0.1, X.flip(0)
    doctor = watched(model, lambda: loss(*model(*rows)), loss, lambda: (rows,))
    assert made_anew(doctor) == pytest.approx(float(loss(*model(*rows)).detach()), rel=1e-4)


def test_what_the_model_is_called_with_counts_where_the_loop_changes_what_it_tells() -> None:
    model, pixels = network(3), (255 * torch.rand(ROWS, COLUMNS)).to(torch.uint8)
    doctor = watched(model, lambda: F.cross_entropy(model(pixels / 255), CLASS), batch=lambda: (pixels, CLASS))
    assert float(doctor.batches[-1][0].max()) <= 1.0


def test_an_unusual_loss_is_left_unknown() -> None:
    model = network(3)
    doctor = watched(model, lambda: 1.7 * F.cross_entropy(model(X), CLASS), batch=lambda: (X, CLASS))
    assert doctor.patient is not None and doctor.patient.loss_of is None


def test_two_players_and_losses_without_a_batch_are_left_as_they_are() -> None:
    model = network(3)
    doctor = watched(model, lambda: F.cross_entropy(model(X), CLASS))
    assert doctor.patient is not None and doctor.patient.loss_of is None and not doctor.batches


def test_once_known_nothing_listens_on_where_the_batch_is_told() -> None:
    model = network(3)
    doctor = watched(model, lambda: F.cross_entropy(model(X), CLASS), F.cross_entropy, lambda: (X, CLASS), steps=1)
    assert doctor.acquaintance is not None and not doctor.acquaintance.handles


def test_answers_that_are_large_numbers_are_not_laid_out_one_hot() -> None:
    with pytest.raises(ValueError):
        _one_hot(torch.tensor([0, 1_000_000]))
    assert _one_hot(torch.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_what_is_told_stays_the_batch_where_the_loss_is_not_known_to_come_of_the_call() -> None:
    model = network(3)

    def make() -> Tensor:
        return F.cross_entropy(model(X), CLASS) + F.cross_entropy(model(X.flip(0)), CLASS.flip(0))

    doctor = watched(model, make, F.cross_entropy, lambda: (X, CLASS))
    assert doctor.batches[-1][0] is X


def test_a_doctor_that_cannot_make_a_loss_keeps_no_first_weights() -> None:
    model = network(3)
    assert watched(model, lambda: 1.7 * Doubled.apply(F.cross_entropy(model(X), CLASS)), steps=5).first is None
    assert watched(model, lambda: 1.7 * F.cross_entropy(model(X), CLASS)).first is not None  # of steps on tape
    assert watched(model, lambda: F.cross_entropy(model(X), CLASS), batch=lambda: (X, CLASS)).first is not None


@pytest.mark.parametrize("told", [True, False])
def test_a_loss_in_half_precision_is_not_taken_for_one_of_rows_laid_out_one_hot(told: bool) -> None:
    """Which differs from it by rounding alone, and takes no labels of unlike number."""
    model, x, y = network(3), numbers(), torch.randint(3, (ROWS,), generator=torch.Generator().manual_seed(1))

    def make() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(model(x), y)

    doctor = watched(model, make, nn.CrossEntropyLoss() if told else None, lambda: (x, y))
    assert not doctor.broken and doctor.patient is not None
    few = doctor.patient.loss(model.eval(), (x[:5], y[:5].clamp(max=1)))
    assert float(few.detach()) == pytest.approx(
        float(F.cross_entropy(model(x[:5]), y[:5].clamp(max=1)).detach()), rel=1e-4
    )
