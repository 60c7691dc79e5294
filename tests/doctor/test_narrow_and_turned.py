"""Layers too narrow, pictures turned wrongly, a state cut off, rows read past their end; each with its twin."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trainwell.doctor import Doctor
from trainwell.doctor.bottleneck import narrow, widen
from trainwell.doctor.finding import CannotJudge
from trainwell.doctor.orientation_check import turned
from trainwell.doctor.patient import Patient
from trainwell.doctor.proof import Proof, confirm
from trainwell.doctor.sample import Sample
from trainwell.doctor.series import Record
from trainwell.doctor.suspect import Suspect

BREAKING = "label-breaking-augmentation"


def names(doctor: Doctor) -> list[str]:
    return [each.name for each in doctor.findings if each.severity != "note"]


def digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    order = torch.randperm(len(found.images), generator=torch.Generator().manual_seed(0))
    return torch.tensor(found.images, dtype=torch.float32)[order, None] / 16, torch.tensor(found.target)[order]


def trained(model: nn.Module, rows: Tensor, target: Tensor, criterion: nn.Module, steps: int = 400) -> Doctor:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = Doctor(model, optimizer, loss=criterion, steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        which = torch.randint(len(rows), (32,), generator=generator)
        optimizer.zero_grad()
        loss = criterion(model(rows[which]), target[which])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows[which], target[which])
    doctor.close()
    return doctor


def coded(size: int) -> nn.Module:
    around = [nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, size)], [nn.Linear(size, 48), nn.ReLU(), nn.Linear(48, 64)]
    return nn.Sequential(nn.Flatten(), *around[0], *around[1])


def with_a_gate(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 10),
    )  # fmt: skip


@pytest.mark.parametrize(("size", "expected"), [(1, ["underfitting"]), (12, [])])
def test_a_code_of_one_number(size, expected):
    torch.manual_seed(0)
    rows = digits()[0]
    doctor = trained(coded(size), rows, rows.flatten(1), nn.MSELoss())
    assert names(doctor) == expected
    if expected:
        assert doctor.findings[0].where == "3" and "1 number" in doctor.findings[0].evidence


def test_a_channel_that_is_enough_is_not_told():
    torch.manual_seed(0)
    rows, target = digits()
    assert names(trained(with_a_gate(1), rows, target, nn.CrossEntropyLoss())) == []  # little of its loss is left


class Gated(nn.Module):
    """A gate of one number beside a wide way: not the only way."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.wide, self.head = nn.Linear(64, 1), nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.flatten(1)
        answer: Tensor = self.head(torch.relu(self.wide(rows)) * (0.5 + self.gate(rows).sigmoid()))
        return answer


def test_a_narrow_layer_beside_the_way_is_no_bottleneck():
    torch.manual_seed(0)
    rows, target = digits()
    shuffled = target[torch.randperm(len(target))]
    doctor = trained(Gated(), rows, shuffled, nn.CrossEntropyLoss())
    assert "bottleneck" not in doctor.record.facts and "underfitting" not in names(doctor)


class Cells(nn.Module):
    """Rows of a picture one by one, the state detached between them or not."""

    def __init__(self, detached: bool, tokens: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(17, 8) if tokens else nn.Identity()
        self.cell, self.head, self.detached = nn.GRUCell(8, 32), nn.Linear(32, 10), detached

    def forward(self, rows: Tensor) -> Tensor:
        state = torch.zeros(len(rows), 32)
        for row in self.table(rows).unbind(1):
            state = self.cell(row, state.detach() if self.detached else state)
        answer: Tensor = self.head(state)
        return answer


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("detached", [True, False])
def test_a_state_that_is_detached_at_each_step(detached, tokens):
    torch.manual_seed(0)
    rows, target = digits()
    rows = (rows[:, 0, :, 2:6].flatten(1) * 16).long() if tokens else rows[:, 0]
    doctor = trained(Cells(detached, tokens), rows, target, nn.CrossEntropyLoss(), 60)
    assert ("no-long-range-signal" in names(doctor)) == detached
    if detached:
        assert doctor.findings[0].name == "no-long-range-signal" and doctor.findings[0].severity == "critical"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, rows.flip(3), rows), BREAKING),
        (lambda rows: torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, rows.flip(2), rows), BREAKING),
        (lambda rows: rows.rot90(1, (2, 3)), "preprocessing-mismatch"),
        (lambda rows: rows, None),
        (lambda rows: rows.roll((1, -1), (2, 3)), None),
        (lambda rows: rows + 0.3 * torch.randn_like(rows), None),
    ],
)  # fmt: skip
def test_pictures_turned(change, expected):
    torch.manual_seed(0)
    rows, target = digits()
    sample = Sample(inputs=[change(rows[:400])], target=target[:400])
    found = turned(sample, Sample(inputs=[rows[400:700]], target=target[400:700]), {})
    assert (found.name if found else None) == expected


def test_pictures_that_lie_either_way_are_no_matter():
    torch.manual_seed(0)
    rows, target = torch.rand(700, 1, 8, 8), torch.arange(700) % 2
    mirrored = torch.where(torch.rand(400, 1, 1, 1) < 0.5, rows[:400].flip(3), rows[:400])
    held = Sample(inputs=[rows[400:]], target=target[400:])
    assert turned(Sample(inputs=[mirrored], target=target[:400]), held, {}) is None
    with pytest.raises(CannotJudge, match="held-out pictures"):
        turned(Sample(inputs=[mirrored], target=target[:400]), None, {})


class Read(nn.Module):
    """A recurrent layer that is read at each row's last step, or behind what fills the rows up."""

    def __init__(self, behind: bool) -> None:
        super().__init__()
        self.layer, self.head, self.behind = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 10), behind

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.layer(rows)
        last = states[:, -1] if self.behind else states[torch.arange(len(rows)), lengths - 1]
        answer: Tensor = self.head(last)
        return answer


@pytest.mark.parametrize(("behind", "filled", "expected"), [(True, 24, True), (False, 24, False), (True, 0, False)])
def test_rows_read_behind_their_end(behind, filled, expected):
    torch.manual_seed(0)
    target, lengths = torch.randint(10, (64,)), torch.randint(8, 13, (64,))
    rows = torch.randn(64, 12 + filled, 4)
    rows[torch.arange(12 + filled)[None] >= (lengths if filled else lengths + 12)[:, None]] = 0.0
    model = Read(behind)
    optimizer = torch.optim.Adam(model.parameters())
    doctor = Doctor(model, optimizer, loss=nn.functional.cross_entropy)
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(rows, lengths), target)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (rows, lengths), target)
    doctor.close()
    assert ("padding-or-mask-fault" in names(doctor)) == expected


def through(units: int, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    norms = [nn.BatchNorm1d(units)] if norm else []
    deep = (nn.Tanh(), nn.Linear(units, units), nn.Tanh(), nn.Linear(units, 1))
    return nn.Sequential(nn.Linear(6, units), *norms, *deep)


def of_one(x: Tensor) -> Tensor:
    return x[:, :1].tanh()


def of_two(x: Tensor) -> Tensor:
    return 3 * x[:, :1].tanh() + x[:, 1:2] - 2 * x[:, 2:3].tanh() + 2 * x[:, 3:4].relu()


@pytest.mark.parametrize(("answer", "expected"), [(of_two, True), (of_one, False)])
def test_one_unit_is_too_few_where_a_copy_with_more_learns_more(answer, expected: bool) -> None:
    x = torch.randn(1500, 6, generator=torch.Generator().manual_seed(1))
    y, model = answer(x), nn.Sequential(nn.Linear(6, 1), nn.Tanh(), nn.Linear(1, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(600):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    patient = Patient(model, {"": optimizer}, lambda each, batch, _: nn.functional.mse_loss(each(batch[0]), batch[1]))
    batches = [(x[at : at + 50], y[at : at + 50]) for at in range(0, 1500, 50)]
    record = Record({"few units": ("0", 1), "prior loss": float(y.var())})
    for step in range(300):
        record.add(step + 1, "loss", "", float(y.var()) * (0.5 if step > 100 else 1.0))
    record.facts["step"] = 300
    suspicion = narrow(record)
    assert suspicion is not None and "by width" in suspicion.statistic
    told = confirm(suspicion, Suspect(patient, batches, lambda *_: None, 300, 0), Proof(0.3))
    assert (told is not None) is expected
    assert told is None or ("A copy with 32 units" in told.evidence and told.confidence == 0.9)


@pytest.mark.parametrize("norm", [False, True])
def test_a_copy_with_more_units_answers_and_the_original_stays(norm: bool) -> None:
    model = through(1, norm)
    before = [tuple(each.shape) for each in model.parameters()]
    wide = copy.deepcopy(model)
    widen(wide)
    x = torch.randn(8, 6)
    assert wide(x).shape == model(x).shape == (8, 1)
    assert [each.out_features for each in wide if isinstance(each, nn.Linear)] == [32, 32, 1]
    assert [tuple(each.shape) for each in model.parameters()] == before
