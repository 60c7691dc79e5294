"""Slips of newcomers, each beside the same done right: memory, labels, lists of layers, codes, warm-ups, depth."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, accuracy, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.data_check import bad_features, padding_or_mask_fault, targets_out_of_range
from trainwell.doctor.labels_check import label_noise
from trainwell.doctor.sample import Sample
from trainwell.doctor.split_check import preprocessing_mismatch

healthy = Loop(steps=120)
numbers = Loop(
    model=lambda: mlp(8, 32, 1),
    data=faults.regression(),
    loss=F.mse_loss,
    optimizer=lambda m: Adam(m.parameters(), 3e-3),
    steps=120,
)
chance = torch.Generator().manual_seed(0)


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


class Listed(nn.Module):
    """Hidden layers in a list, plain or of torch's own. x: (batch, 64) -> (batch, 10)"""

    def __init__(self, keep=list) -> None:
        super().__init__()
        self.hidden, self.head = keep([nn.Linear(64, 64), nn.Linear(64, 64)]), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for each in self.hidden:
            x = torch.relu(each(x))
        return self.head(x)


def one_label():
    x, y, held_x, held_y = digits()
    return x.repeat(2, 1), torch.zeros(2 * len(y), dtype=torch.long), held_x, held_y


def over(axis: int):
    return lambda output, target: F.nll_loss(F.log_softmax(output, axis), target)


def warmed(steps: int):
    return lambda optimizer: LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


def deep(activation=nn.Tanh, count: int = 18, begin=None) -> nn.Module:
    model = mlp(64, *[24] * count, 10, activation=activation)
    for each in model.modules():
        if isinstance(each, nn.Linear) and begin is not None:
            begin(each.weight)
    return model


def memory(momentum: float) -> Loop:
    return replace(healthy, optimizer=lambda m: SGD(m.parameters(), 0.1, momentum=momentum), steps=160)


def renumbered():
    x, y, held_x, held_y = digits()
    return x, y, held_x, (10 - held_y) % 10


def never_drawn():
    x, y, held_x, held_y = digits()
    return x[y != 3], y[y != 3], held_x, held_y


def offset():
    x, y, held_x, held_y = digits()
    return x * 0.004 - 0.5, y, held_x * 0.004 - 0.5, held_y


def emptied(model: nn.Module) -> Adam:
    made = Adam(model.parameters(), 2e-3)
    made.register_step_pre_hook(lambda optimizer, *_: optimizer.state.clear())
    return made


def normed(momentum: float) -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64, momentum=momentum), nn.ReLU(), nn.Linear(64, 10))


def dropped(share: float) -> nn.Module:
    drop = [nn.Dropout(share) for _ in range(2)]
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), drop[0], nn.Linear(64, 10), drop[1])


judged = replace(healthy, evaluations=20)
adaptive = replace(healthy, optimizer=lambda m: Adam(m.parameters(), 2e-3))
# ailment, the broken run, its healthy twin
CASES = {
    "a long memory": ("learning-rate-too-high", memory(0.999), memory(0.9)),
    "one label": ("targets-out-of-range", replace(healthy, data=one_label), healthy),
    "a plain list": ("disconnected-parameters", replace(healthy, model=Listed),
                     replace(healthy, model=lambda: Listed(nn.ModuleList))),
    "softmax over the batch": ("loss-head-mismatch", replace(healthy, loss=over(0)), replace(healthy, loss=over(1))),
    "a warm-up without end": ("learning-rate-too-low", replace(healthy, schedule=warmed(50_000)),
                              replace(healthy, schedule=warmed(40))),
    "eighteen tanhs": ("vanishing-gradient", replace(adaptive, model=deep),
                       replace(adaptive, model=lambda: deep(nn.ReLU, 7, nn.init.kaiming_normal_))),
    "held-out labels in another order": ("preprocessing-mismatch", replace(judged, data=renumbered), judged),
    "a class never drawn": ("class-imbalance", replace(judged, data=never_drawn), judged),
    "hardly any change about an offset": ("input-not-normalized", replace(healthy, data=offset), healthy),
    "an optimizer made anew": ("training-state-lost", replace(adaptive, optimizer=emptied), adaptive),
    "batch norm without a memory": ("wrong-train-eval-mode", replace(healthy, model=lambda: normed(0.0)),
                                    replace(healthy, model=lambda: normed(0.1))),
    "a rate without end": ("learning-rate-too-high",
                           replace(healthy, schedule=lambda o: LambdaLR(o, lambda step: 1.1**step)),
                           replace(healthy, schedule=lambda o: LambdaLR(o, lambda step: 1.005**step))),
    "dropout of the scores": ("over-regularized", replace(healthy, model=lambda: dropped(0.85)),
                              replace(healthy, model=lambda: dropped(0.2))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_named_first_and_the_healthy_twin_left_alone(case):
    ailment, broken, twin = CASES[case]
    assert named(broken.run()[0])[:1] == [ailment]
    assert named(twin.run()[0]) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("a long memory", "momentum to 0.9"),
        ("a plain list", "plain lists made nn.ModuleList"),
        ("a warm-up without end", "the warm-up over at once: learning rate held at 0.1"),
        ("eighteen tanhs", "made residual"),
        ("batch norm without a memory", "given a momentum of 0.1"),
        ("a rate without end", "where its schedule began"),
        ("hardly any change about an offset", "standardized"),
    ],
)
def test_treated_and_as_good_as_the_healthy_twin(case, words):
    _, broken, twin = CASES[case]
    doctor, model, _ = broken.run("treat")
    assert words in doctor.history[0]["change"], doctor.history
    assert accuracy(model, broken) > 0.95 * accuracy(twin.run(None)[1], twin)


def test_a_rate_that_is_held_is_not_found_again():
    ended = replace(healthy, schedule=lambda o: LambdaLR(o, lambda step: max(0.0, 1 - step / 8)), steps=200)
    doctor, model, _ = ended.run("treat")
    made = [each["finding"] for each in doctor.history if "the average of" not in each["change"]]
    assert made == ["learning-rate-too-low"], doctor.history
    assert accuracy(model, ended) > 0.9


def test_proofs_on_single_rows_have_as_many_rows_as_others():
    doctor, _, _ = replace(healthy, batch=1, steps=70, optimizer=lambda m: SGD(m.parameters(), 0.01)).run()
    assert len(doctor.suspect().batches) == 64
    doctor, _, _ = replace(healthy, steps=30).run()
    assert len(doctor.suspect().batches) == 8


def test_an_infinite_value_keeps_its_side():
    def divided():
        x, y, held_x, held_y = (each.clone() for each in faults.regression()())
        return torch.cat([x[:, :7], x[:, 7:] / 0], 1), y, torch.cat([held_x[:, :7], held_x[:, 7:] / 0], 1), held_y

    loop = replace(numbers, data=divided, steps=40)
    doctor, model, _ = loop.run("treat")
    assert any("standardized" in each["change"] for each in doctor.history)
    seen = []
    model[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    row = loop.data()[0][:1].clone()
    row[0, 7] = torch.inf
    model(row), model(torch.where(row.isinf(), -row, row))
    assert float(seen[0][0, 7]) > 2 and float(seen[1][0, 7]) < -2


def answers(target: torch.Tensor) -> Sample:
    return Sample([torch.zeros(len(target), 3)], target, [], [64] * (len(target) // 64))


def test_slips_among_answers_are_told_and_heavy_tails_are_not():
    usual = torch.randn(512, 1, generator=chance)
    slipped = usual.clone()
    slipped[::60] = slipped[::60] * 1000 + 3000
    assert "median" in targets_out_of_range(answers(slipped), {"loss": "mse"}).evidence
    for target in (usual, (2.5 * usual).exp(), usual.sign() * (3 * usual.abs()).exp()):
        assert targets_out_of_range(answers(target), {"loss": "mse"}) is None


def test_other_codes_in_the_held_out_rows():
    shares = 1.0 / torch.arange(1, 41)
    rows = torch.multinomial(shares, 800 * 20, replacement=True, generator=chance).view(800, 20)
    ours, theirs = Sample([rows[:400]]), rows[400:]
    recoded = torch.randperm(40, generator=chance)[theirs]
    found = preprocessing_mismatch(ours, Sample([recoded]), {})
    assert found is not None and "other vocabulary" in found.cause.replace("another", "other")
    assert preprocessing_mismatch(ours, Sample([theirs]), {}) is None


def test_one_token_at_nearly_all_places():
    """Letters of another vocabulary are all unknown; short rows, filled up at their end, are as they should be."""
    made = torch.Generator().manual_seed(0)
    letters = torch.randint(2, 30, (256, 24), generator=made)
    unknown = torch.where(torch.rand(256, 24, generator=made) < 0.9, 1, letters)
    short = letters * (torch.arange(24) < torch.randint(1, 5, (256, 1), generator=made))
    found = bad_features(Sample([unknown]), {})
    assert found is not None and found.name == "bad-features" and "Token 1 stands at 8" in found.evidence
    for rows in (letters, short, letters % 2):
        assert bad_features(Sample([rows]), {}) is None


def test_padding_of_batches_of_unlike_length():
    made = torch.Generator().manual_seed(0)
    letters = torch.cat([torch.randint(2, 30, (64, 15), generator=made), torch.ones(64, 1, dtype=torch.long)], 1)
    padded = torch.cat([letters, torch.ones(64, 48, dtype=torch.long)], 1)
    assert padding_or_mask_fault(Sample([padded], sizes=[32, 32]), {}).severity == "warn"
    assert padding_or_mask_fault(Sample([letters], sizes=[32, 32]), {}) is None
    # Most other batches were longer, so that their rows could not be laid below these.
    assert padding_or_mask_fault(Sample([letters], sizes=[32, 32, *[16] * 6]), {}) is None


def test_copies_learn_as_steeply_as_the_loop_does():
    doctor, _, _ = replace(healthy, backward=lambda loss: 16 * loss, steps=12).run()
    assert doctor.patient.scale == pytest.approx(16, rel=1e-3)
    assert replace(healthy, steps=12).run()[0].patient.scale == 1.0


def test_guessing_is_known_where_a_loss_makes_its_rows_of_labels():
    def rows_of_one(output, target):
        return F.binary_cross_entropy_with_logits(output, F.one_hot(target, 10).float())

    doctor, _, _ = replace(healthy, loss=rows_of_one, steps=30).run()
    assert doctor.record.facts["prior loss"] == pytest.approx(0.325, abs=0.01)  # of a share of one in ten
    heavy = torch.tensor([1e6] + [1.0] * 9)
    doctor, _, _ = replace(healthy, loss=lambda o, t: F.cross_entropy(o, t, weight=heavy), steps=30).run()
    assert doctor.record.facts["prior loss"] < 0.01  # the class that weighs all is nearly sure


def test_pictures_turned_in_the_held_out_rows():
    pictures = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
    pictures = pictures[torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))]
    ours, theirs = Sample([pictures[:500]]), pictures[1000:]
    assert preprocessing_mismatch(ours, Sample([theirs]), {}) is None
    for turned in (theirs.transpose(2, 3), theirs.flip(2), theirs.rot90(1, (2, 3))):
        found = preprocessing_mismatch(ours, Sample([turned.contiguous()]), {})
        assert found is not None and "turned" in found.cause


def test_neighbors_of_overlapping_classes_are_no_wrong_labels():
    """Thirds of a noisy answer: a row whose neighbors agree is another class in every sixth case, by chance alone."""
    told = []
    for seed in range(30):
        made = torch.Generator().manual_seed(seed)
        x = torch.randn(512, 8, generator=made)
        answer = x[:, :3].sum(1) + 1.2 * torch.randn(512, generator=made)
        y = torch.bucketize(answer, answer.quantile(torch.tensor([1 / 3, 2 / 3])))
        told.append(label_noise(Sample([x], y, [], [64] * 8), None, {}) is not None)
    assert sum(told) <= 1
    x = 6 * torch.eye(8)[:3].repeat(342, 1)[:1024] + torch.randn(1024, 8, generator=chance)
    y = torch.arange(1024) % 3
    wrong = torch.where(torch.rand(1024, generator=chance) < 0.3, (y + 1) % 3, y)
    spoiled, held, both = (
        Sample([x[part]], labels[part], [], [64] * 8)
        for part, labels in ((slice(512), wrong), (slice(512, None), y), (slice(512, None), wrong))
    )
    found = label_noise(spoiled, held, {})
    assert found is not None and found.severity == "warn"
    assert label_noise(Sample([x[:512]], y[:512], [], [64] * 8), held, {}) is None
    # Held-out rows that the neighbors are as wrong of say that neighbors tell little, or that both parts are spoiled.
    assert label_noise(spoiled, both, {}) is None
    assert label_noise(spoiled, None, {}).severity == "note"
