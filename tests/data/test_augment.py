"""Augmentations against what they promise: labels kept or shared, types and shapes kept, draws repeated by the seed."""

import pytest
import torch

from trainwell.data.augment import AUGMENTATIONS, IGNORED, Crop, CutMix, Cutout, Flip, Mixup, Rotation, Shift, Zoom
from trainwell.data.augment_sound import Soundwise

PICTURES = [name for name, kind in AUGMENTATIONS.items() if not issubclass(kind, Soundwise)]


def batch(*, rows=16, channels=3, height=9, width=12, dtype=torch.uint8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (rows, channels, height, width), generator=generator).to(dtype)
    return {"inputs": (x,), "target": torch.arange(rows) % 5, "row": torch.arange(rows)}


def make(name):
    if AUGMENTATIONS[name].__module__.endswith("kornia"):
        pytest.importorskip("kornia", reason="kornia comes with the extra vision")
    return AUGMENTATIONS[name](5) if name in ("mixup", "cutmix") else AUGMENTATIONS[name]()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_changes_pictures_and_keeps_shape_type_and_original(name, dtype):
    before = batch(dtype=dtype)
    copy = before["inputs"][0].clone()
    torch.manual_seed(0)
    after = make(name)(before)
    x = after["inputs"][0]
    assert x.shape == copy.shape
    assert x.dtype == (torch.float32 if name == "mixup" else dtype)
    assert not torch.equal(x.float(), copy.float())
    assert torch.equal(before["inputs"][0], copy)
    assert torch.equal(after["row"], before["row"])


@pytest.mark.parametrize("name", PICTURES)
def test_same_seed_draws_the_same(name):
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(make(name)(batch()))
    assert torch.equal(results[0]["inputs"][0], results[1]["inputs"][0])
    assert not torch.equal(results[0]["inputs"][0], make(name)(batch())["inputs"][0])


@pytest.mark.parametrize("fill", ["zero", "reflect"])
def test_shift_equals_pad_and_crop(fill):
    x = batch(rows=40, height=6, width=7, dtype=torch.float32)["inputs"][0]
    torch.manual_seed(0)
    moved = Shift(pixels=2, fill=fill)({"inputs": (x,)})["inputs"][0]
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="reflect" if fill == "reflect" else "constant")
    seen = set()
    for picture, around in zip(moved, padded, strict=True):
        found = [
            (down, across)
            for down in range(5)
            for across in range(5)
            if torch.equal(picture, around[:, down : down + 6, across : across + 7])
        ]
        assert found
        seen.update(found)
    assert len(seen) > 12


def test_shift_of_more_than_the_picture_stays_inside():
    x = torch.arange(8.0).view(1, 1, 2, 4)
    moved = Shift(pixels=9)({"inputs": (x.expand(50, 1, 2, 4),)})["inputs"][0]
    assert moved.min() >= 0 and moved.max() <= 7
    Shift(pixels=2)({"inputs": (torch.ones(2, 1, 1, 1),)})


def test_shift_refuses_an_unknown_fill():
    with pytest.raises(ValueError, match="reflect or zero"):
        Shift(fill="edge")


def test_flip_mirrors_about_half():
    x = batch(rows=400)["inputs"][0]
    torch.manual_seed(0)
    flipped = (Flip()({"inputs": (x,)})["inputs"][0] == x.flip(-1)).flatten(1).all(1)
    assert 150 < flipped.sum() < 250


@pytest.mark.parametrize("height, width", [(9, 9), (9, 15)])
def test_rotation_by_nothing_is_the_picture_and_by_a_half_turn_its_reverse(height, width):
    x = batch(height=height, width=width, dtype=torch.float32)["inputs"][0]
    same = Rotation(degrees=0.0)({"inputs": (x,)})["inputs"][0]
    torch.testing.assert_close(same, x, atol=1e-2, rtol=0)
    generator_of_ones = torch.ones(len(x))
    original, torch.rand = torch.rand, lambda *shape, device=None: generator_of_ones
    try:
        turned = Rotation(degrees=180.0)({"inputs": (x,)})["inputs"][0]
    finally:
        torch.rand = original
    torch.testing.assert_close(turned, x.flip(-1, -2), atol=1e-2, rtol=0)


def test_rotation_does_not_shear_a_wide_picture():
    """A disc stays a disc when turned, however wide the picture around it."""
    rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(61.0) - 30, indexing="ij")
    disc = ((rows**2 + columns**2) < 49).float()[None, None].expand(20, 1, -1, -1)
    turned = Rotation(degrees=90.0)({"inputs": (disc,)})["inputs"][0]
    assert (turned - disc).abs().mean() < 0.02


def test_crop_of_everything_is_the_picture():
    x = batch(dtype=torch.float32)["inputs"][0]
    constant = torch.full_like(x, 7.0)
    torch.testing.assert_close(Crop(least=0.2)({"inputs": (constant,)})["inputs"][0], constant)
    ramp = torch.arange(32.0).expand(64, 1, 32, 32)
    cropped = Crop(least=0.2)({"inputs": (ramp,)})["inputs"][0]
    slopes = (cropped[:, 0, 16, 24] - cropped[:, 0, 16, 8]) / 16
    assert slopes.min() > 0.3 and slopes.max() <= 1.001 and slopes.std() > 0.05


@pytest.mark.parametrize("change", [Shift(pixels=3), Shift(pixels=3, fill="zero"), Flip(), Rotation(), Crop(), Zoom()])
def test_masks_move_with_their_pictures(change):
    """A mask that is the picture itself is the moved picture, where it is not marked as from outside."""
    mask = torch.zeros(30, 16, 20, dtype=torch.long)
    mask[:, 4:12, 5:10] = 3
    torch.manual_seed(0)
    after = change({"inputs": (mask[:, None].float(),), "target": mask})
    picture, target = after["inputs"][0][:, 0], after["target"]
    assert target.dtype == torch.long
    assert set(target.unique().tolist()) <= {0, 3, IGNORED}
    sure = ((picture == 0) | (picture == 3)) & (target != IGNORED)
    assert sure.float().mean() > 0.7
    assert torch.equal(picture[sure].long(), target[sure])


def test_zoom_goes_both_ways_and_marks_what_lies_outside():
    mask = torch.zeros(200, 20, 20, dtype=torch.uint8)
    mask[:, 5:15, 5:15] = 1
    torch.manual_seed(0)
    after = Zoom(least=0.5, most=0.5)({"inputs": (mask[:, None].float(),), "target": mask})["target"]
    assert ((after == IGNORED).float().mean() - 0.75).abs() < 0.03  # a quarter of the frame is left
    assert (after == 1).flatten(1).sum(1).float().mean() == pytest.approx(25, abs=2)
    near = Zoom(least=2.0, most=2.0)({"inputs": (mask[:, None].float(),), "target": mask})["target"]
    assert (near != IGNORED).all() and len({tuple(each.flatten().tolist()) for each in near}) > 100
    with pytest.raises(ValueError, match="least"):
        Zoom(least=2.0, most=1.0)


def test_a_crop_of_bytes_is_that_of_floats():
    """Bytes are cut and enlarged picture by picture, floats sampled on a grid: the same cut, in whole pixels."""
    smooth = torch.nn.functional.interpolate(torch.rand(20, 3, 6, 8), (48, 64), mode="bilinear") * 255
    bytes_ = smooth.round().to(torch.uint8)
    torch.manual_seed(2)
    one = Crop(least=0.3)({"inputs": (bytes_,)})["inputs"][0]
    torch.manual_seed(2)
    other = Crop(least=0.3)({"inputs": (bytes_.float(),)})["inputs"][0]
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))  # at the edge floats see beyond the cut
    assert (one.float() - other)[inner].abs().max() <= 2.0
    assert (one.float() - bytes_).abs().mean() > 5


def test_colour_is_the_formula_on_bytes_and_floats():
    x = batch(rows=6)["inputs"][0]
    torch.manual_seed(4)
    changed = AUGMENTATIONS["colour"](brightness=0.3, contrast=0.4)({"inputs": (x,)})["inputs"][0]
    torch.manual_seed(4)
    bright, strong = torch.rand(2, 6, 1, 1, 1) * 2 - 1
    mean = x.float().mean((1, 2, 3), keepdim=True)
    wanted = (x - mean) * (1 + 0.4 * strong) + mean * (1 + 0.3 * bright)
    assert (changed.float() - wanted.clamp(0, 255)).abs().max() <= 0.51


def test_cutout_paints_one_square_of_the_asked_size():
    x = torch.rand(50, 3, 16, 16)
    changed = (Cutout(share=0.5)({"inputs": (x,)})["inputs"][0] != x).any(1)
    assert (changed.flatten(1).sum(1) == 64).all()
    assert (changed.any(1).sum(1) == 8).all() and (changed.any(2).sum(1) == 8).all()


def test_mixup_blends_pictures_and_targets_alike():
    """Pictures that show their own class in colour tell the shares that the target must have."""
    target = torch.arange(5).repeat(8)
    x = torch.nn.functional.one_hot(target, 5).float()[:, :, None, None].expand(-1, -1, 4, 4)
    for change in (Mixup(5, alpha=1.0), CutMix(5, alpha=1.0)):
        after = change({"inputs": (x,), "target": target})
        torch.testing.assert_close(after["inputs"][0].mean((2, 3)), after["target"])
        torch.testing.assert_close(after["target"].sum(1), torch.ones(40))
        assert (after["target"].max(1).values < 0.999).float().mean() > 0.2
        again = change(after)  # a second mixing takes probabilities
        torch.testing.assert_close(again["target"].sum(1), torch.ones(40))
        assert again["inputs"][0].shape == x.shape
