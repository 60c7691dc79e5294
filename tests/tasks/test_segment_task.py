"""The segmentation task: its loss and its numbers against their formulas, and pixels of no class that count nowhere."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torch import nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.tasks.segment import Segment, class_overlaps, overlap, pixel_counts


def batch(rows=6, classes=3, side=8, dtype=torch.uint8):
    torch.manual_seed(0)
    target = torch.randint(0, classes, (rows, side, side))
    target[:, 0] = 255
    target[1, 1] = -100 if dtype != torch.uint8 else 255
    return {"inputs": (torch.randn(rows, classes, side, side),), "target": target.to(dtype)}


def test_the_loss_is_cross_entropy_and_dice_by_hand():
    held = batch()
    logits, target = held["inputs"][0], held["target"].long()
    known = target < 3
    weights = torch.tensor([1.0, 2.0, 0.5])
    torch.testing.assert_close(
        (loss := Segment(3, dice=0.0, class_weights=weights.tolist()).loss(nn.Identity(), held, "model")).total
        / loss.count,
        F.cross_entropy(logits, torch.where(known, target, -100), weight=weights),
    )
    expected = []
    for scores, truth, here in zip(logits.softmax(1), target, known, strict=True):
        parts = []
        for place in range(3):
            p, t = scores[place][here], (truth[here] == place).float()
            if t.sum():
                parts.append((2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
        expected.append(torch.stack(parts).mean())
    found = overlap(logits.softmax(1), torch.where(known, target, 0), known)
    torch.testing.assert_close(found, torch.stack(expected))
    both = Segment(3).loss(nn.Identity(), held, "model")
    alone = Segment(3, dice=0.0).loss(nn.Identity(), held, "model")
    assert float((both.total - alone.total) / both.count) == pytest.approx(
        float(((1 - found) @ known.sum((1, 2)).float()) / known.sum())
    )


def test_a_batch_is_its_rows():
    held, task = batch(), Segment(3, class_weights=[1.0, 3.0, 0.5])
    whole = task.loss(nn.Identity(), held, "model")
    rows = [
        task.loss(
            nn.Identity(), {"inputs": (held["inputs"][0][i : i + 1],), "target": held["target"][i : i + 1]}, "model"
        )
        for i in range(6)
    ]
    torch.testing.assert_close(whole.total, sum(each.total for each in rows))
    torch.testing.assert_close(whole.count, sum(each.count for each in rows))


def test_pixels_of_no_class_teach_nothing():
    held = batch(dtype=torch.int64)
    logits = held["inputs"][0].requires_grad_()
    task = Segment(3)
    task.loss(nn.Identity(), {**held, "inputs": (logits,)}, "model").total.backward()
    unknown = ((held["target"] < 0) | (held["target"] > 2))[:, None].expand_as(logits)
    assert unknown.any() and (logits.grad[unknown] == 0).all() and (logits.grad[~unknown] != 0).any()
    nothing = task.loss(nn.Identity(), {**held, "target": torch.full_like(held["target"], 255)}, "model")
    assert float(nothing.total.detach()) == 0 and float(nothing.count) == 0


def test_overlaps_are_those_of_scikit_learn_over_all_pixels():
    held, task = batch(), Segment(3)
    metrics = task.metrics()
    for rows in (slice(0, 1), slice(1, 6)):  # uneven batches must not be averaged
        part = {"inputs": (held["inputs"][0][rows],), "target": held["target"][rows]}
        metrics.update(task.predict(nn.Identity(), part), part)
    known = held["target"] < 3
    truth, answer = held["target"][known].numpy(), held["inputs"][0].argmax(1)[known].numpy()
    found = metrics.compute()
    assert found["miou"] == pytest.approx(jaccard_score(truth, answer, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx((truth == answer).mean())
    counts = pixel_counts(held["inputs"][0].argmax(1), held["target"], 3)
    assert np.array_equal(counts.numpy(), confusion_matrix(truth, answer))
    assert class_overlaps(torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])).tolist()[:2] == [0.75, 2 / 3]
    assert class_overlaps(torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))[2].isnan()


def test_mirrored_answers_are_averaged():
    held = batch()
    model = nn.Conv2d(3, 3, 3, padding=1)
    answer = Segment(3, mirror=True).predict(model, held)
    turned = Segment(3, mirror=True).predict(model, {"inputs": (held["inputs"][0].flip(-1),)})
    assert torch.equal(answer["mask"], turned["mask"].flip(-1))
    assert not torch.equal(answer["mask"], Segment(3).predict(model, held)["mask"])


def test_wrong_outputs_and_weights_are_told():
    with pytest.raises(InputError, match="masks ask for"):
        Segment(4).loss(nn.Identity(), batch(), "model")
    with pytest.raises(ValueError, match="2 class_weights for 3"):
        Segment(3, class_weights=[1.0, 2.0])
