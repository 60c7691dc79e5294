"""What a ridge, a straight stack or a copy of a row gives away of two parts, each beside the same done right."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, accuracy, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.copies_check import copies
from trainwell.doctor.finding import CannotJudge
from trainwell.doctor.order_check import same_batch
from trainwell.doctor.regularization import less_than_ridge
from trainwell.doctor.sample import Sample, row_hashes
from trainwell.doctor.series import Record
from trainwell.doctor.split_check import preprocessing_mismatch as of_split
from trainwell.doctor.yardstick import preprocessing_mismatch, table_of_tokens

healthy = Loop(steps=60)
numbers = Loop(
    model=lambda: mlp(8, 32, 32, 1),
    data=faults.regression(),
    loss=F.mse_loss,
    optimizer=lambda m: Adam(m.parameters(), 3e-3),
    steps=120,
)


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parts(change=lambda x, y: (x, y), of_training=lambda x, y: (x, y)):
    x, y, held_x, held_y = digits()
    return Sample([of_training(x, y)[0][:512]], of_training(x, y)[1][:512]), Sample(
        [change(held_x, held_y)[0]], change(held_x, held_y)[1]
    )


def drawn(y: torch.Tensor) -> torch.Tensor:
    wrong = torch.rand(len(y), generator=chance()) < 0.5
    return torch.where(wrong, torch.randint(0, 10, (len(y),), generator=chance(1)), y)


@pytest.mark.parametrize(
    ("name", "held", "training"),
    [
        ("preprocessing-mismatch", lambda x, y: (x.flip(1), y), lambda x, y: (x, y)),
        ("preprocessing-mismatch", lambda x, y: (x, (y + 1) % 10), lambda x, y: (x, y)),
        ("preprocessing-mismatch", lambda x, y: (x, y.roll(1)), lambda x, y: (x, y)),
        ("label-noise", lambda x, y: (x, y), lambda x, y: (x, drawn(y))),
        ("label-breaking-augmentation", lambda x, y: (x, y), lambda x, y: (x + 4 * torch.randn(x.shape), y)),
    ],
)
def test_parts_that_do_not_teach_each_other(name, held, training):
    torch.manual_seed(0)
    found = preprocessing_mismatch(*parts(held, training), {"classes": 10})
    assert found is not None and found.name == name


def test_parts_alike_are_left_alone_in_any_order():
    x, y, _, _ = digits()
    for seed in range(10):
        order = torch.randperm(len(x), generator=chance(seed))
        one, other = order[:512], order[512:1024]
        assert preprocessing_mismatch(Sample([x[one]], y[one]), Sample([x[other]], y[other]), {"classes": 10}) is None
    few = Sample([x[:100]], y[:100])
    with pytest.raises(CannotJudge):
        preprocessing_mismatch(few, few, {})


def text(seed: int, follows: torch.Tensor) -> Sample:
    x = torch.randint(0, 30, (300, 21), generator=chance(seed))
    for place in range(1, 21):
        known = torch.rand(300, generator=chance(100 * seed + place)) < 0.6
        x[:, place] = torch.where(known, follows[x[:, place - 1]], x[:, place])
    return Sample([x[:, :-1]], x[:, 1:])


def test_tokens_that_follow_others_in_the_held_out_text():
    follows = torch.randperm(30, generator=chance(7))
    assert table_of_tokens(text(1, follows), text(2, follows), {"classes": 30}) is None
    other = table_of_tokens(text(1, follows), text(2, torch.randperm(30, generator=chance(8))), {"classes": 30})
    assert other is not None and other.name == "preprocessing-mismatch"


def test_pictures_moved_across_the_split():
    pictures = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
    pictures = F.interpolate(pictures, size=16, mode="bilinear")
    pictures = pictures[torch.randperm(len(pictures), generator=chance())]
    ours, theirs = pictures[:500], pictures[1000:1500]
    assert copies(Sample([ours]), Sample([theirs])) is None
    for moved in (ours.roll(1, 3), ours.roll((-1, 2), (2, 3)), 0.7 * ours.roll(1, 2) + 0.2, ours.flip(3)):
        found = copies(Sample([ours]), Sample([torch.cat([moved[:60], theirs[60:]])]))
        assert found is not None and found.name == "data-leakage"


def test_windows_that_overlap_across_the_split():
    stream = torch.randint(0, 20, (6000,), generator=chance())
    windows = stream.unfold(0, 24, 8)
    windows = windows[torch.randperm(len(windows), generator=chance(1))]
    assert copies(Sample([windows[:400]]), Sample([windows[400:]])) is not None
    apart = stream.unfold(0, 24, 24)
    assert copies(Sample([apart[:120]]), Sample([apart[120:]])) is None


def test_a_column_in_other_units():
    x = torch.randn(600, 6, generator=chance())
    x[:, 2] = x[:, 2].exp()
    theirs = x[300:].clone()
    assert of_split(Sample([x[:300]]), Sample([theirs]), {}) is None
    for change in (lambda column: column * 10, lambda column: column + 8, lambda column: column.exp() * 30):
        changed = theirs.clone()
        changed[:, 3] = change(changed[:, 3])
        found = of_split(Sample([x[:300]]), Sample([changed]), {})
        assert found is not None and found.where == "input 0, feature 3"


def batched(rows: list[torch.Tensor]) -> Sample:
    sample = Sample([torch.cat(rows)], None, list(rows), [len(each) for each in rows])
    sample.hashes = [each for batch in rows for each in row_hashes((batch,))]
    return sample


def test_one_batch_again_and_again():
    rows = torch.randn(256, 4, generator=chance())
    again = batched([rows[:64]] * 4)
    assert same_batch(again, {"held-out rows": 200}) is not None
    shuffled = batched([rows[:64][torch.randperm(64, generator=chance(each))] for each in range(4)])
    assert same_batch(shuffled, {"held-out rows": 200}) is None  # all rows that there are, in another order each time
    assert same_batch(again, {"held-out rows": 20}) is None  # a small set, learned from whole at each step
    assert same_batch(batched(list(rows.split(64))), {"held-out rows": 200}) is None


def straight(activation=nn.Identity) -> nn.Module:
    return mlp(64, 64, 64, 10, activation=activation)


def test_layers_with_nothing_between_them():
    found = replace(healthy, model=straight).run()[0]
    assert named(found) == ["underfitting"] and found.findings[0].where == "between the layers"
    for model in (lambda: straight(nn.ReLU), lambda: nn.Sequential(nn.Linear(64, 10)), lambda: mlp(64, 4, 10)):
        narrow = model()
        if len(narrow) == 3:
            narrow[1] = nn.Identity()  # four wide between 64 and 10: a correction of low rank
        assert named(replace(healthy, model=lambda made=narrow: made).run()[0]) == []


def test_an_activation_is_put_between_them():
    def bent():
        x, _, held_x, _ = faults.regression()()
        return x, (x[:, :1] * x[:, 1:2]), held_x, (held_x[:, :1] * held_x[:, 1:2])

    broken = replace(numbers, data=bent, model=lambda: mlp(8, 32, 32, 1, activation=nn.Identity))
    doctor, _, losses = broken.run("treat")
    assert "ReLU put behind 2 layers" in doctor.history[0]["change"]
    assert sum(losses[-20:]) < 0.5 * sum(broken.run(None)[2][-20:])


def course(losses: list[float], planned: int = 200) -> Record:
    record = Record({"ridge leaves": 0.6, "prior loss": 2.0, "steps": planned})
    for step, loss in enumerate(losses, 1):
        record.add(step, "loss", "", loss)
        record.add(step, "rate", "", 0.1)
    return record


def test_behind_a_ridge_without_a_chance_to_catch_up():
    stuck = [2.0 - 0.002 * step for step in range(100)]
    assert less_than_ridge(course(stuck)) is not None
    assert less_than_ridge(course([2.0 - 0.006 * step for step in range(100)])) is None  # on its way
    assert less_than_ridge(course([1.0 + 0 * step for step in range(100)])) is None  # below it
    assert less_than_ridge(course(stuck[:50])) is None  # too soon


def test_few_rows_learned_by_heart():
    def few():
        x, y, held_x, held_y = digits()
        return x[:100], y[:100], held_x, held_y

    loop = replace(healthy, steps=300, evaluations=20, batch=32, optimizer=lambda m: SGD(m.parameters(), 0.1, 0.9))
    assert named(replace(loop, data=few).run()[0]) == ["overfitting"]
    loop = replace(loop, steps=120)
    doctor, model, _ = loop.run()
    assert named(doctor) == [] and accuracy(model, loop) > 0.9


def test_answers_far_off_pull_no_more_than_usual_ones():
    def slipped():
        x, y, held_x, held_y = faults.regression()()
        wrong = torch.rand(len(y), generator=chance(3)) < 0.02
        return x, torch.where(wrong[:, None], 1000.0 * (y.abs() + 1), y), held_x, held_y

    loop = replace(numbers, data=slipped, steps=200)
    doctor, model, _ = loop.run("treat")
    assert named(doctor) == ["targets-out-of-range"] and "three usual errors" in doctor.history[0]["change"]
    _, _, x, y = loop.data()

    def explained(model: nn.Module) -> float:
        with torch.no_grad():
            return float(1 - (model(x) - y).square().mean() / y.var())

    # With eight seeds such a training explains .82 to .94, with the cure or without a fault.
    assert explained(model) > 0.85 * explained(replace(numbers, steps=200).run(None)[1])
    assert explained(loop.run(None)[1]) < 0


def test_rows_that_the_loader_moves_are_no_wrong_labels():
    training = parts(of_training=lambda x, y: (x + 2.5 * torch.randn(x.shape, generator=chance()), y))
    found = preprocessing_mismatch(*training, {})
    assert found is not None and found.where != "held out"  # of a loop of one's own nothing is known
    assert preprocessing_mismatch(*training, {"augmented": True}) is None
