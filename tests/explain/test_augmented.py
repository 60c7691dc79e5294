"""What the page shows of augmented pictures: their labels, boxes and masks, and that looking changes no training."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from trainwell.explain.augmented import augmented, drawn, label

CLASSES = ["cat", "dog", "frog"]


def test_labels_whole_and_mixed():
    assert label(torch.tensor(1), CLASSES) == "dog"
    assert label(torch.tensor([0.7, 0.0, 0.3]), CLASSES) == "cat 70 %, frog 30 %"
    assert label(torch.tensor([0.0, 1.0, 0.0]), CLASSES) == "dog 100 %"
    assert label(torch.tensor(0.25), CLASSES) == ""  # a number to predict is standardized here and says nothing
    assert label(torch.tensor(7), CLASSES) == ""


def test_masks_are_drawn_in_where_they_name_a_class():
    pictures = torch.full((2, 3, 4, 6), 100, dtype=torch.uint8)
    target = torch.full((2, 4, 6), 255)
    target[0, :2] = 1
    painted = drawn(pictures, target, CLASSES)
    assert painted.shape == pictures.shape
    assert (painted[1] == 100).all() and (painted[0, :, 2:] == 100).all()
    assert (painted[0, :, :2] != 100).any()


def test_boxes_are_drawn_in():
    pictures = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    target = torch.tensor([[[0.0, 2.0, 3.0, 10.0, 12.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]])
    painted = drawn(pictures, target, CLASSES)
    assert painted[0, 0, 3, 2:11].eq(255).all() and painted[0, 0, 6, 6] == 0


def test_sixteen_pictures_and_the_random_numbers_as_they_were():
    def batches():
        for _ in range(3):
            yield {"inputs": (torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8),), "target": torch.arange(6) % 3}

    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = augmented(batches(), CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(found["pictures"]) == len(found["labels"]) == 16 and found["labels"][:4] == ["cat", "dog", "frog", "cat"]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["pictures"][0]))))
    assert image.shape[:2] == (96, 96)
