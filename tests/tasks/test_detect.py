"""Detection: average precision equal to COCO's own tool, boxes taught to places that suit them, pictures memorized."""

import contextlib
import io

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.models.fcos import FCOS, Boxes
from trainwell.nn.boxes import overlap
from trainwell.tasks.average_precision import matches_of, mean_average_precision
from trainwell.tasks.detect import Detect


def drawn(rows, seed=0, most=8, classes=3):
    """True boxes, and answers that are near some of them, sure or not, or anywhere."""
    random = np.random.default_rng(seed)
    truth = np.full((rows, most, 5), -1.0)
    answers = np.full((rows, 30, 6), -1.0)
    answers[..., 1] = 0
    for row in range(rows):
        count = int(random.integers(0, most + 1))
        low = random.uniform(0, 150, (count, 2))
        truth[row, :count] = np.concatenate(
            [random.integers(0, classes, (count, 1)), low, low + random.uniform(15, 60, (count, 2))], 1
        )
        found = []
        for label, *sides in truth[row, :count]:
            for _ in range(int(random.integers(0, 4))):
                kind = label if random.random() < 0.9 else random.integers(0, classes)
                found.append([kind, round(random.uniform(), 2), *(np.array(sides) + random.uniform(-6, 6, 4))])
        for _ in range(5):
            at = random.uniform(0, 150, 2)
            found.append([random.integers(0, classes), random.uniform(0, 0.6), *at, *(at + random.uniform(5, 60, 2))])
        answers[row, : min(30, len(found))] = sorted(found, key=lambda each: -each[1])[:30]
    return answers, truth


def coco_precision(answers, truth, classes):
    """(map50, map) by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools comes with the extra vision")
    from pycocotools.cocoeval import COCOeval

    def rows(boxes, scored):
        listed = []
        for image, each in enumerate(boxes):
            for box in each[each[:, 0] >= 0]:
                left, top, right, bottom = box[-4:]
                size = (right - left) * (bottom - top)
                sides = [left, top, right - left, bottom - top]
                entry = {"id": len(listed) + 1, "image_id": image, "category_id": int(box[0]), "bbox": sides}
                entry |= {"area": size, "iscrowd": 0}
                listed.append(entry | ({"score": box[1]} if scored else {}))
        return listed

    with contextlib.redirect_stdout(io.StringIO()):
        true = coco.COCO()
        true.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "annotations": rows(truth, False),
            "categories": [{"id": label} for label in range(classes)],
        }
        true.createIndex()
        judged = COCOeval(true, true.loadRes(rows(answers, True)), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged.stats[1], judged.stats[0]


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_cocos_tool(seed):
    answers, truth = drawn(25, seed=seed)
    ours = mean_average_precision(matches_of(answers, truth, 3))
    assert ours == pytest.approx(coco_precision(answers, truth, 3), abs=1e-6)
    assert 0.1 < ours[1] < ours[0] < 0.95


def test_average_precision_of_the_truth_is_one_and_of_nothing_zero():
    _, truth = drawn(10)
    perfect = np.concatenate([truth[..., :1], np.ones_like(truth[..., :1]), truth[..., 1:]], -1)
    assert mean_average_precision(matches_of(perfect, truth, 3)) == (1.0, 1.0)
    assert mean_average_precision(matches_of(np.full((10, 5, 6), -1.0), truth, 3)) == (0.0, 0.0)
    # A class of which there is nothing does not count.
    assert mean_average_precision(matches_of(perfect, truth, 4)) == (1.0, 1.0)


class Fixed(nn.Module):
    """A network whose answer is given."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def forward(self, x):
        return self.found


def places():
    """An 8 x 8 grid of stride 8."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    middles = torch.stack([columns.flatten(), rows.flatten()], 1) * 8 + 4
    return torch.cat([middles, torch.full((64, 1), 8.0)], 1)


def test_each_box_is_taught_to_places_inside_it_and_the_best_has_its_overlap():
    grid = places()
    around = torch.cat([grid[:, :2] - 12, grid[:, :2] + 12], 1)[None]
    target = torch.tensor([[[1.0, 10, 10, 34, 34], [0.0, 40, 8, 60, 60], [2.0, 5, 50, 7, 51], [-1, 0, 0, 0, 0]]])
    quality, owner = Detect(3, candidates=4).assign(torch.full((1, 64, 3), 0.2), around, grid, target)
    taught = quality[0].amax(-1) > 0
    for place in taught.nonzero().flatten().tolist():
        box = target[0, owner[0, place]]
        assert quality[0, place].argmax() == box[0]
        if box[0] != 2:  # which lies between the places
            middle = grid[place, :2]
            assert (middle > box[1:3]).all() and (middle < box[3:]).all()
    for number in range(2):
        mine = taught & (owner[0] == number)
        assert 1 <= mine.sum() <= 4
        shared = overlap(around[0][mine], target[0, number, 1:])
        assert quality[0][mine].amax() == pytest.approx(float(shared.max()), abs=1e-5)
    assert (taught & (owner[0] == 2)).sum() == 1


def test_nothing_to_find_teaches_that_there_is_nothing():
    grid = places()
    scores = torch.zeros(2, 64, 3, requires_grad=True)
    boxes = torch.cat([grid[:, :2] - 9, grid[:, :2] + 9], 1).expand(2, -1, -1)
    for target in (torch.full((2, 3, 5), -1.0), torch.zeros(2, 0, 5)):
        batch = {"inputs": (torch.zeros(2, 3, 64, 64),), "target": target}
        loss = Detect(3).loss(Fixed(Boxes(scores, boxes, grid)), batch, "model")
        loss.total.backward()
        assert float(loss.count) == 1.0 and (scores.grad > 0).all()
        scores.grad = None


def test_answers_are_sorted_within_the_picture_and_without_doubles():
    grid = places()
    boxes = torch.cat([grid[:, :2] - 20, grid[:, :2] + 20], 1)[None]
    scores = torch.linspace(-3, 3, 192).view(1, 64, 3)
    task = Detect(3, answers=100)
    answer = task.predict(Fixed(Boxes(scores, boxes, grid)), {"inputs": (torch.zeros(1, 3, 64, 64),)})["boxes"]
    assert answer.shape == (1, 100, 6)
    real = answer[0][answer[0, :, 0] >= 0]
    assert 3 <= len(real) < 100 and (answer[0, len(real) :, 0] == -1).all()
    assert (real[:, 1].diff() <= 0).all() and real[:, 2:].min() >= 0 and real[:, 2:].max() <= 64
    for label in range(3):
        own = real[real[:, 0] == label, 2:]
        assert (overlap(own[:, None], own) - torch.eye(len(own))).max() <= task.doubles


def test_memorizes_two_pictures_and_answers_alone_as_in_a_batch():
    torch.manual_seed(0)
    model = FCOS(3, 2, backbone={"name": "resnet", "depth": 18, "width": 4}, width=16, depth=1, levels=2)
    x = torch.zeros(2, 3, 64, 64)
    x[0, 0, 8:28, 10:40], x[1, 2, 30:56, 20:44] = 2.0, 2.0
    target = torch.full((2, 2, 5), -1.0)
    target[0, 0], target[1, 1] = torch.tensor([0.0, 10, 8, 40, 28]), torch.tensor([1.0, 20, 30, 44, 56])
    task, batch = Detect(2), {"inputs": (x,), "target": target}
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        loss = task.loss(model, batch, "model")
        (loss.total / loss.count).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        for _ in range(30):
            model.train()
            model(x)  # running statistics catch up
        model.eval()
        answer = task.predict(model, batch)["boxes"]
        alone = task.predict(model, {"inputs": (x[1:],)})["boxes"]
    metrics = task.metrics()
    metrics.update({"boxes": answer}, batch)
    assert metrics.compute()["map50"] == 1.0
    torch.testing.assert_close(answer[1:, 0], alone[:, 0], atol=1e-2, rtol=1e-3)
