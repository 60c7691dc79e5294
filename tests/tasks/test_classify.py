"""Classify: many classes, one score for two, members, labels, probabilities; its metrics against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import nn

from trainwell.errors import InputError
from trainwell.tasks import Classify
from trainwell.tasks.members import apart, member_weights


class Fixed(nn.Module):
    """Gives the same scores for any input, rows taken from a table."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, rows):
        return self.scores[rows]


def batch(target, **more):
    return {"inputs": (torch.arange(len(target)),), "target": target, **more}


SCORES = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 1, 2] * 4)


def mean(task, model, of):
    loss = task.loss(model, of, "model")
    return loss.total.item() / float(loss.count)


def test_loss_and_probabilities():
    task, model = Classify(3), Fixed(SCORES)
    expected = nn.functional.cross_entropy(SCORES, TARGET).item()
    assert mean(task, model, batch(TARGET)) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(task.predict(model, batch(TARGET))["probability"], SCORES.softmax(1))
    weight = torch.tensor([1.0, 0.0, 2.0] * 4)
    each = nn.functional.cross_entropy(SCORES, TARGET, reduction="none")
    assert mean(task, model, batch(TARGET, weight=weight)) == pytest.approx(float((each * weight).sum() / 12), rel=1e-6)


def test_a_batch_of_eight_equals_eight_of_one():
    task, model = Classify(3, loss="focal"), Fixed(SCORES)
    whole = task.loss(model, batch(TARGET[:8]), "model")
    rows = [{"inputs": (torch.tensor([i]),), "target": TARGET[i : i + 1]} for i in range(8)]
    single = [task.loss(model, row, "model") for row in rows]
    assert whole.count == sum(each.count for each in single) == 8
    torch.testing.assert_close(whole.total, sum(each.total for each in single))
    found = torch.cat([task.predict(model, row)["probability"] for row in rows])
    torch.testing.assert_close(found, task.predict(model, batch(TARGET[:8]))["probability"])


class LeftSide(nn.Module):
    """Scores for two classes: how bright the left column of a picture is, and how bright the right one is."""

    def forward(self, x):
        return x.mean((1, 2))[:, [0, -1]]


def test_a_mirrored_look_is_averaged_in():
    pictures = torch.rand(5, 3, 4, 6)
    given = {"inputs": (pictures,), "target": torch.zeros(5, dtype=torch.long)}
    plain = Classify(2).predict(LeftSide(), given)["probability"]
    both = Classify(2, mirror=True).predict(LeftSide(), given)["probability"]
    torch.testing.assert_close(both, (plain + plain.flip(1)) / 2)  # the other side is the other class here
    assert (plain - both).abs().max() > 1e-3


def test_a_mirror_needs_a_picture():
    with pytest.raises(InputError, match=r"mirror=true.*picture"):
        Classify(3, mirror=True).predict(Fixed(SCORES), batch(TARGET))


def test_one_score_is_a_sigmoid():
    one, target = SCORES[:, :1], TARGET.clamp_max(1)
    expected = nn.functional.binary_cross_entropy_with_logits(one[:, 0], target.float()).item()
    for scores in (one, one[:, 0]):  # (batch, 1) or (batch,)
        assert mean(Classify(2), Fixed(scores), batch(target)) == pytest.approx(expected, rel=1e-6)
        probability = Classify(2).predict(Fixed(scores), batch(target))["probability"]
        torch.testing.assert_close(probability, torch.cat([1 - one.sigmoid(), one.sigmoid()], 1))
    rule = Classify(2, loss="perceptron")
    assert mean(rule, Fixed(one), batch(target)) >= 0
    probability = rule.predict(Fixed(one), batch(target))["probability"]
    assert torch.equal(probability.argmax(1), (one[:, 0] > 0).long())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_at_least_single(dtype):
    loss = Classify(3).loss(Fixed(SCORES.to(dtype)), batch(TARGET), "model")
    assert loss.total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_probabilities_as_scores():
    task = Classify(3, scores="probabilities")
    sure = SCORES.softmax(1)
    expected = nn.functional.cross_entropy(SCORES, TARGET).item()
    assert mean(task, Fixed(sure), batch(TARGET)) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(task.predict(Fixed(sure), batch(TARGET))["probability"], sure)
    one, target = SCORES[:, :1].sigmoid(), TARGET.clamp_max(1)
    task = Classify(2, scores="probabilities")
    expected = nn.functional.binary_cross_entropy(one[:, 0], target.float()).item()
    assert mean(task, Fixed(one), batch(target)) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(task.predict(Fixed(one), batch(target))["probability"][:, 1:], one)
    certain = Fixed(torch.tensor([[0.0, 0.0, 1.0]] * 3))
    assert np.isfinite(mean(Classify(3, scores="probabilities"), certain, batch(TARGET[:3])))


def test_several_labels():
    task, model = Classify(3, labels=3), Fixed(SCORES)
    target = torch.randint(2, (12, 3), generator=torch.Generator().manual_seed(1)).float()
    expected = nn.functional.binary_cross_entropy_with_logits(SCORES, target).item()
    assert mean(task, model, batch(target)) == pytest.approx(expected, rel=1e-6)
    prediction = task.predict(model, batch(target))
    torch.testing.assert_close(prediction["probability"], SCORES.sigmoid())
    found = task.metrics()
    found.update(prediction, batch(target))
    values = found.compute()
    assert values["log_loss"] == pytest.approx(expected, rel=1e-5)
    assert values["accuracy"] == pytest.approx(((SCORES > 0) == (target > 0)).float().mean().item())
    single = Classify(1, labels=1)
    torch.testing.assert_close(
        single.predict(Fixed(SCORES[:, :1]), batch(target))["probability"], SCORES[:, :1].sigmoid()
    )


MEMBERS = torch.randn(12, 4, 3, generator=torch.Generator().manual_seed(2))


def test_members_learn_apart_and_answer_together():
    task, model = Classify(3), Fixed(MEMBERS)
    expected = np.mean([nn.functional.cross_entropy(MEMBERS[:, m], TARGET).item() for m in range(4)])
    assert mean(task, model, batch(TARGET)) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(task.predict(model, batch(TARGET))["probability"], MEMBERS.softmax(2).mean(1))
    flat, target = apart(MEMBERS, TARGET)
    assert torch.equal(flat[5], MEMBERS[1, 1]) and target[5] == TARGET[1]


def test_no_member_learns_from_the_fold_it_answers_for():
    fold = torch.arange(12) % 2
    task, model = Classify(3, folds=2), Fixed(MEMBERS)
    task.loss(model, batch(TARGET, fold=fold), "model").total.backward()
    learned = model.scores.grad.abs().sum(2) > 0  # (rows, members)
    own = (torch.arange(4) % 2)[None, :] == fold[:, None]
    assert torch.equal(learned, ~own)
    answered = member_weights(MEMBERS, batch(TARGET, held_out_fold=fold), 2)
    assert torch.equal(answered > 0, own)
    held_out = task.predict(model, batch(TARGET, held_out_fold=fold))["probability"]
    expected = torch.stack([MEMBERS[i, own[i]].softmax(1).mean(0) for i in range(12)])
    torch.testing.assert_close(held_out, expected)


@pytest.mark.parametrize(("members", "folds"), [(4, 2), (5, 3), (3, 3), (32, 5)])
@pytest.mark.parametrize("key", ["fold", "held_out_fold", None])
def test_weights_of_members_sum_to_one(members, folds, key):
    more = {} if key is None else {key: torch.arange(-1, 11) % (folds + 1) - 1}  # a row of fold -1 belongs to none
    weight = member_weights(torch.zeros(12, members, 3), batch(TARGET, **more), folds)
    torch.testing.assert_close(weight.sum(1), torch.ones(12))
    assert (weight >= 0).all()


def test_folds_without_enough_members_are_refused():
    fold = torch.arange(12) % 5
    with pytest.raises(InputError, match="members"):
        Classify(3, folds=5).loss(Fixed(MEMBERS), batch(TARGET, fold=fold), "model")
    with pytest.raises(InputError, match="members"):  # one network would be judged on the rows it learned from
        Classify(3, folds=5).predict(Fixed(SCORES), batch(TARGET, held_out_fold=fold))


def test_metrics_equal_scikit_learn():
    probability = SCORES.double().softmax(1)
    task = Classify(3, goal="auroc")
    found = task.metrics()
    for part in torch.arange(12).split(5):
        found.update({"probability": probability[part]}, {"target": TARGET[part]})
    values = found.compute()
    assert values["log_loss"] == pytest.approx(sklearn_metrics.log_loss(TARGET, probability.double().numpy()), rel=1e-5)
    assert values["accuracy"] == sklearn_metrics.accuracy_score(TARGET, probability.argmax(1))
    plain = sklearn_metrics.roc_auc_score(
        TARGET, (probability / probability.sum(1, keepdim=True)).numpy(), multi_class="ovr"
    )
    assert values["auroc"] == pytest.approx(plain, abs=1e-9)
    assert task.goal == ("auroc", "max") and Classify(3).goal == ("log_loss", "min")


def area(task, probability, target):
    found = task.metrics()
    found.update({"probability": probability}, {"target": target})
    return found.compute()["auroc"]


def test_area_with_classes_absent_or_numbers_broken():
    task, probability = Classify(3, goal="auroc"), SCORES.softmax(1)
    kept = TARGET != 2
    two = area(task, probability[kept], TARGET[kept])
    expected = [sklearn_metrics.roc_auc_score(TARGET[kept] == k, probability[kept][:, k]) for k in (0, 1)]
    assert two == pytest.approx(np.mean(expected))
    assert area(task, probability[:1], TARGET[:1]) == 0.5
    assert np.isnan(area(task, probability * torch.nan, TARGET))
    binary = area(Classify(2, goal="auroc"), probability[:, :2], TARGET.clamp_max(1))
    a = sklearn_metrics.roc_auc_score(TARGET.clamp_max(1), probability[:, 1])
    b = sklearn_metrics.roc_auc_score(TARGET.clamp_max(1) == 0, probability[:, 0])
    assert binary in (pytest.approx(a), pytest.approx((a + b) / 2))


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="cross_entropy"):
        Classify(3, loss="mse")
    with pytest.raises(ValueError, match="binary"):
        Classify(3, labels=3, loss="cross_entropy")
    with pytest.raises(ValueError, match="label_smoothing"):
        Classify(3, loss="hinge", label_smoothing=0.1)
    with pytest.raises(InputError, match="3 scores"):
        Classify(5).loss(Fixed(SCORES), batch(TARGET), "model")


def test_class_weights_and_smoothing():
    task = Classify(3, label_smoothing=0.1, class_weights=[1.0, 2.0, 3.0])
    expected = nn.functional.cross_entropy(
        SCORES, TARGET, label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 3.0]), reduction="sum"
    )
    torch.testing.assert_close(task.loss(Fixed(SCORES), batch(TARGET), "model").total, expected)
    double = Fixed(SCORES.double())
    assert task.loss(double, batch(TARGET), "model").total.dtype == torch.float64
