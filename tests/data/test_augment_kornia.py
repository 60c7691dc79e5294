"""kornia's augmentations: pictures, masks and boxes moved together, types kept, drawn by the seed, names checked."""

import sys
from types import SimpleNamespace

import pytest
import torch

from trainwell.build import augmentation
from trainwell.data.augment import AUGMENTATIONS, IGNORED
from trainwell.errors import InputError
from trainwell.recipe import Recipe

pytest.importorskip("kornia", reason="kornia comes with the extra vision")

MOVING = {
    "rotation": {"kind": "RandomRotation", "arguments": {"degrees": 20.0, "p": 1.0}},
    "flip": {"kind": "RandomVerticalFlip", "arguments": {"p": 1.0}},
    "perspective": {"kind": "RandomPerspective", "arguments": {"distortion_scale": 0.3, "p": 1.0}},
    "affine": {"kind": "RandomAffine", "arguments": {"degrees": 10.0, "translate": [0.1, 0.1], "p": 1.0}},
}


def scene(rows=24):
    """A bright block in the dark, a mask of it, and its box."""
    x, boxes = torch.zeros(rows, 3, 48, 64, dtype=torch.uint8), torch.full((rows, 2, 5), -1.0)
    for row in range(rows):
        left, top = 18 + row % 12, 14 + row % 9
        x[row, :, top : top + 14, left : left + 18] = 255
        boxes[row, 1] = torch.tensor([2.0, left, top, left + 18, top + 14])
    return x, (x[:, 0] > 0).long() * 3, boxes


@pytest.mark.parametrize("name", MOVING)
def test_boxes_and_masks_move_with_their_pictures(name):
    x, mask, boxes = scene()
    change = AUGMENTATIONS["kornia"](**MOVING[name])
    torch.manual_seed(0)
    after = change({"inputs": (x,), "target": boxes})
    assert after["inputs"][0].dtype == torch.uint8 and not torch.equal(after["inputs"][0], x)
    assert (after["target"][:, 0, 0] == -1).all() and (after["target"][:, 1, 0] == 2).all()
    slack = 1.6 if name == "flip" else 4.5  # the box around turned corners is wider than what is bright
    for picture, box in zip(after["inputs"][0], after["target"][:, 1, 1:], strict=True):
        bright = (picture[0] > 127).nonzero()
        edges = torch.tensor([*bright.amin(0).flip(0), *(bright.amax(0) + 1).flip(0)], dtype=torch.float32)
        assert (box[:2] <= edges[:2] + 1).all() and (box[2:] >= edges[2:] - 1).all()
        assert (box - edges).abs().max() <= slack
    torch.manual_seed(0)
    moved = change({"inputs": (x,), "target": mask})
    seen, target = moved["inputs"][0][:, 0], moved["target"]
    assert target.dtype == torch.long and set(target.unique().tolist()) <= {0, 3, IGNORED}
    sure = ((seen < 30) | (seen > 225)) & (target != IGNORED)
    assert sure.float().mean() > 0.7 and ((seen > 127) == (target == 3))[sure].float().mean() > 0.995
    if name != "flip":
        assert (target == IGNORED).any()


@pytest.mark.parametrize("name", ["randaugment", "jitter", "kornia"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_keeps_shape_type_labels_and_the_original(name, dtype):
    x = (torch.rand(8, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 255).to(dtype)
    copy, labels = x.clone(), torch.arange(8)
    torch.manual_seed(3)
    after = AUGMENTATIONS[name]()({"inputs": (x,), "target": labels})
    assert after["inputs"][0].shape == x.shape and after["inputs"][0].dtype == dtype
    assert torch.equal(x, copy) and torch.equal(after["target"], labels)
    torch.manual_seed(3)
    again = AUGMENTATIONS[name]()({"inputs": (x,), "target": labels})
    assert torch.equal(after["inputs"][0], again["inputs"][0])


def test_randaugment_draws_other_changes_each_time_and_moves_boxes_along():
    x, _, boxes = scene()
    change, moved, kinds = AUGMENTATIONS["randaugment"](operations=1, strength=20), 0, set()
    torch.manual_seed(0)
    for _ in range(12):
        after = change({"inputs": (x,), "target": boxes})
        shift = (after["target"][:, 1, 1:] - boxes[:, 1, 1:]).abs().amax()
        moved += bool(shift > 2)
        kinds.add(round(float(after["inputs"][0].float().mean()), 1))
    assert 1 <= moved < 12 and len(kinds) > 3


def test_a_kind_that_is_not_there_and_an_absent_package_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"kornia has no 'RandomRotations'.*RandomRotation"):
        AUGMENTATIONS["kornia"](kind="RandomRotations")
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(InputError, match=r"pip install 'trainwell\[vision\]'"):
        AUGMENTATIONS["jitter"]()


def test_a_recipe_names_them():
    supplies = SimpleNamespace(supplies={"classes": 3})
    steps = [{"name": "jitter", "hue": 0.0}, {"name": "kornia", "kind": "RandomRotation", "arguments": {"degrees": 10}}]
    x, _, boxes = scene(4)
    after = augmentation(Recipe(augment=steps), supplies)({"inputs": (x,), "target": boxes})
    assert after["inputs"][0].shape == x.shape and after["target"].shape == boxes.shape
    with pytest.raises(InputError, match="augment: kornia refuses kind='Rain'"):
        augmentation(Recipe(augment=[{"name": "kornia", "kind": "Rain"}]), supplies)
