"""The detector: places where its maps lie, boxes around them, over every backbone; learns everywhere, rows apart."""

import pytest
import torch

from trainwell.models.backbone import BACKBONES, Backbone
from trainwell.models.fcos import FCOS

SMALL = {
    "resnet": {"depth": 18, "width": 4},
    "vgg": {"depth": 11, "width": 4},
    "densenet": {"layers": [2, 2, 2], "growth": 4},
    "efficientnet": {"width": 0.25, "depth": 0.3, "drop_path": 0.0},
    "speednet": {"widths": [8, 16, 16]},
    "vit": {"width": 32, "depth": 2, "heads": 2, "patch": 16, "side": 64},
    "alexnet": {"width": 4},
}


def made(name="resnet", classes=3):
    torch.manual_seed(0)
    return FCOS(3, classes, backbone={"name": name, **SMALL[name]}, width=16, depth=1)


@pytest.mark.parametrize("name", BACKBONES)
def test_stands_on_every_backbone(name):
    model = made(name)
    x = torch.randn(2, 3, 64, 96)
    found = model(x)
    count = len(found.places)
    assert (
        found.scores.shape == (2, count, 3) and found.boxes.shape == (2, count, 4) and found.places.shape == (count, 3)
    )
    assert (found.boxes[..., 2:] > found.boxes[..., :2]).all()
    middle = found.places[:, :2]
    assert ((middle > found.boxes[..., :2]) & (middle < found.boxes[..., 2:])).all()
    assert middle[:, 0].max() < 96 and middle[:, 1].max() < 64 and middle.min() > 0
    (found.scores.sum() + found.boxes.square().mean()).backward()
    learning = {key: each for key, each in model.named_parameters() if each.requires_grad}
    later = {key for key in learning if f"stages.{len(getattr(model.backbone.network, 'stages', []))}" in key}
    assert [key for key, each in learning.items() if each.grad is None and key not in later] == []


def test_a_backbone_tells_widths_and_strides():
    backbone = Backbone(1, {"name": "resnet", "depth": 18, "width": 4})
    maps = backbone(torch.randn(1, 1, 64, 64))
    assert backbone.strides == [4, 8, 16, 32] and backbone.widths == [4, 8, 16, 32]
    assert [(each.shape[1], 64 // each.shape[2]) for each in maps] == list(
        zip([4, 8, 16, 32], [4, 8, 16, 32], strict=True)
    )
    with pytest.raises(ValueError, match="no backbone 'resnext'; choose one of resnet"):
        Backbone(1, {"name": "resnext"})


def test_places_lie_row_by_row_in_the_middle_of_their_cells():
    places = made()(torch.zeros(1, 3, 64, 96)).places
    first = places[places[:, 2] == 8]
    assert len(first) == 8 * 12
    assert first[0].tolist() == [4, 4, 8] and first[1].tolist() == [12, 4, 8] and first[12].tolist() == [4, 12, 8]
    assert sorted(set(places[:, 2].tolist())) == [8, 16, 32]


def test_rows_stay_apart_and_half_precision_keeps_boxes_exact():
    model = made().eval()
    x = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        whole, single = model(x), model(x[2:3])
        torch.testing.assert_close(whole.boxes[2:3], single.boxes, atol=1e-3, rtol=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(x)
    assert half.boxes.dtype == torch.float32 and half.places.dtype == torch.float32


def test_starts_from_the_state_that_was_saved():
    model, other = made().eval(), made().eval()
    with torch.no_grad():
        for each in other.parameters():
            each.add_(0.1)
        other.load_state_dict(model.state_dict())
        x = torch.randn(1, 3, 64, 64)
        assert torch.equal(model(x).scores, other(x).scores)
