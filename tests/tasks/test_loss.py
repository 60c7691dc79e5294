"""Losses against torch's, against plain statements, and their gradients against finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainwell.tasks import loss as losses
from trainwell.tasks.loss import CLASS_LOSSES, LABEL_LOSSES, LOSSES, NUMBER_LOSSES

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64) * 2
CLASSES = torch.tensor([0, 3, 2, 1, 1, 0])
LABELS = torch.randint(2, (6, 4), generator=GENERATOR)
NUMBERS = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64) * 2


def target_of(name: str) -> torch.Tensor:
    return CLASSES if name in CLASS_LOSSES else LABELS if name in LABEL_LOSSES else NUMBERS


@pytest.mark.parametrize("name", [each for each in LOSSES if each != "ctc"])
def test_one_number_a_row_with_the_right_gradient(name):
    target = target_of(name)
    value = LOSSES[name](SCORES, target)
    assert value.shape == (6,) and (value >= 0).all() and value.dtype == torch.float64
    scores = SCORES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, target), (scores,))
    single = torch.cat([LOSSES[name](SCORES[i : i + 1], target[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(value, single)  # a row's loss is its own


def test_against_torch():
    def close(mine, theirs):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)

    weight = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    close(losses.cross_entropy(SCORES, CLASSES), F.cross_entropy(SCORES, CLASSES, reduction="none"))
    smooth = F.cross_entropy(SCORES, CLASSES, reduction="none", label_smoothing=0.1, weight=weight)
    close(losses.cross_entropy(SCORES, CLASSES, label_smoothing=0.1, weight=weight), smooth)
    binary = F.binary_cross_entropy_with_logits(SCORES, LABELS.double(), reduction="none", pos_weight=weight).mean(1)
    close(losses.binary_cross_entropy(SCORES, LABELS, weight=weight), binary)
    close(losses.mse(SCORES, NUMBERS), F.mse_loss(SCORES, NUMBERS, reduction="none").mean(1))
    close(losses.mae(SCORES, NUMBERS), F.l1_loss(SCORES, NUMBERS, reduction="none").mean(1))
    close(losses.huber(SCORES, NUMBERS, delta=0.7), F.huber_loss(SCORES, NUMBERS, delta=0.7, reduction="none").mean(1))
    close(losses.log_cosh(SCORES, NUMBERS), (SCORES - NUMBERS).cosh().log().mean(1))


def test_log_cosh_holds_far_out():
    far = losses.log_cosh(torch.tensor([[1e6]]), torch.zeros(1, 1))
    assert far.item() == pytest.approx(1e6 - math.log(2), rel=1e-6)


@given(st.floats(0.5, 5), st.integers(0, 3))
def test_focal_is_cross_entropy_weighed_down(gamma, label):
    scores, target = SCORES[:1], torch.tensor([label])
    plain = F.cross_entropy(scores, target, reduction="none")
    focal = losses.focal(scores, target, gamma=gamma)
    torch.testing.assert_close(focal, (1 - torch.exp(-plain)) ** gamma * plain)
    torch.testing.assert_close(losses.focal(scores, target, gamma=0.0), plain)
    torch.testing.assert_close(
        losses.binary_focal(SCORES, LABELS, gamma=0.0), losses.binary_cross_entropy(SCORES, LABELS)
    )


def test_focal_has_a_gradient_where_it_is_certain():
    scores = torch.tensor([[100.0, -100.0]], requires_grad=True)
    (losses.focal(scores, torch.tensor([0])) + losses.binary_focal(scores, torch.tensor([[1, 0]]))).backward()
    assert scores.grad.isfinite().all()


def test_hinge_by_its_definition():
    for row in range(6):
        right = SCORES[row, CLASSES[row]]
        wrong = max(SCORES[row, each] for each in range(4) if each != CLASSES[row])
        expected = max(0.0, 1 + wrong - right)
        assert losses.hinge(SCORES, CLASSES)[row].item() == pytest.approx(float(expected))
    two = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    theirs = F.multi_margin_loss(two, torch.tensor([1]), reduction="none") * 2  # torch divides by the classes
    torch.testing.assert_close(losses.hinge(two, torch.tensor([1])), theirs)


def test_a_gradient_step_on_the_perceptron_loss_is_rosenblatts_rule():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    label = (x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) > 0.1).long()
    model = nn.Linear(3, 1).double()
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    weight, bias, mistakes = torch.zeros(3, dtype=torch.float64), 0.0, 0
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for row in range(40):
        sign = 2 * label[row].item() - 1
        if sign * (weight @ x[row] + bias) <= 0:  # wrong: add the row to the weights, or take it away
            weight, bias, mistakes = weight + sign * x[row], bias + sign, mistakes + 1
        losses.perceptron(model(x[row : row + 1]), label[row : row + 1]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(model.weight[0].detach(), weight)
        assert model.bias.item() == pytest.approx(bias)
    assert mistakes > 3


def test_perceptron_with_many_classes():
    value = losses.perceptron(SCORES, CLASSES)
    right = SCORES.argmax(1) == CLASSES
    assert (value[right] == 0).all() and (value[~right] > 0).all()
    scores = torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    losses.perceptron(scores, torch.tensor([2])).sum().backward()
    assert scores.grad.tolist() == [[0, 1, -1]]  # the row leaves the winner and joins the right class


def test_ctc_against_torch():
    log_probabilities = torch.randn(3, 12, 5, generator=GENERATOR, dtype=torch.float64).log_softmax(2)
    target = torch.tensor([[1, 2, 2, 3], [4, 1, 0, 0], [3, 3, 3, 0]])
    lengths, target_lengths = torch.tensor([12, 10, 12]), torch.tensor([4, 2, 3])
    mine = losses.ctc(log_probabilities, target, lengths=lengths, target_lengths=target_lengths)
    theirs = F.ctc_loss(log_probabilities.transpose(0, 1), target, lengths, target_lengths, reduction="none")
    torch.testing.assert_close(mine, theirs)
    too_long = losses.ctc(log_probabilities, target, lengths=torch.tensor([2, 10, 12]), target_lengths=target_lengths)
    assert too_long[0] == 0 and too_long.isfinite().all()  # more symbols than steps: counts nothing, breaks nothing
    assert set(NUMBER_LOSSES) | set(CLASS_LOSSES) | set(LABEL_LOSSES) | {"ctc"} == set(LOSSES)
