"""Starting from weights: what is taken over, what learns when and how fast, and which network a file fills."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from trainwell.errors import InputError
from trainwell.models.recognize import recognized
from trainwell.models.resnet import ResNet
from trainwell.models.transfer import Thawing, Transfer
from trainwell.models.unet import UNet
from trainwell.models.vgg import VGG
from trainwell.models.weights import save_weights


def small(classes=4, seed=0):
    torch.manual_seed(seed)
    return ResNet(3, classes, depth=8, width=4)


@pytest.fixture
def file(tmp_path):
    """Weights of a small network for four classes, its norms' statistics moved, under published names."""
    model = small(4, seed=1)
    model(torch.randn(16, 3, 8, 8) * 3 + 1)
    save_weights(model, tmp_path / "small.safetensors", layout="cifar")
    return tmp_path / "small.safetensors", model


def learning(model):
    return {name for name, each in model.named_parameters() if each.requires_grad}


def test_all_but_a_head_for_other_classes_is_taken_over(file):
    path, known = file
    other = small(7)
    head = other.head.weight.clone()
    assert Transfer(weights=str(path)).start(other).fresh == ["head.weight", "head.bias"]
    for name, value in known.state_dict().items():
        if not name.startswith("head.") and "tracked" not in name:
            assert torch.equal(other.state_dict()[name], value), name
    assert torch.equal(other.head.weight, head)
    same = small(4)
    Transfer(weights=str(path)).start(same)
    assert torch.equal(same.head.weight, known.head.weight)
    Transfer(weights=str(path), new_head=True).start(same)
    assert not torch.equal(same.head.weight, known.head.weight)


def test_a_network_over_a_backbone_takes_the_backbone_alone(file, tmp_path):
    path, known = file
    unet = UNet(3, 2, backbone={"name": "resnet", "depth": 8, "width": 4})
    Transfer(weights=str(path)).start(unet)
    assert torch.equal(unet.backbone.network.stages[2][0].body[0][0].weight, known.stages[2][0].body[0][0].weight)
    assert torch.equal(unet.backbone.network.stem[0][1].running_mean, known.stem[0][1].running_mean)
    whole = VGG(3, 5, depth=11, width=2, hidden=8)
    save_weights(whole, tmp_path / "vgg.safetensors", layout="torchvision")
    over = UNet(3, 2, backbone={"name": "vgg", "depth": 11, "width": 2, "hidden": 8})
    Transfer(weights=str(tmp_path / "vgg.safetensors")).start(over)
    assert torch.equal(over.backbone.network.stages[0][0].weight, whole.stages[0][0].weight)


def test_stages_thaw_from_the_head_down_and_their_statistics_with_them(file):
    model = small()
    transfer = Transfer(weights=str(file[0]), freeze=-1, thaw=0.4)
    transfer.start(model)
    counts = []
    schedule = Thawing(lambda progress: 1 - progress, transfer, model)
    for progress in (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 1.0):
        assert schedule(progress) == 1 - progress
        counts.append(len(transfer.follow(model, progress)))
    assert counts == [4, 4, 3, 2, 1, 0, 0] and learning(model) == {name for name, _ in model.named_parameters()}
    transfer.follow(model, 0.0)
    assert learning(model) == {"head.weight", "head.bias"}
    before = model.stem[0][1].running_mean.clone()
    model.train()(torch.randn(8, 3, 8, 8) + 5)
    assert torch.equal(model.stem[0][1].running_mean, before)
    transfer.follow(model, 0.5)
    model.train()(torch.randn(8, 3, 8, 8) + 5)
    assert not torch.equal(model.stem[0][1].running_mean, before)
    assert len(Transfer(weights=str(file[0]), freeze=2).follow(model, 1.0)) == 2  # without thaw they stay
    with pytest.raises(InputError, match=r"freeze=9: the network has 5 stages: stem, .*, head"):
        Transfer(weights=str(file[0]), freeze=9).follow(model, 0.0)


def test_rates_fall_from_stage_to_stage(file):
    model = small()
    Transfer(weights=str(file[0]), decay=0.5).start(model)
    groups = model.parameter_groups(lr=1.0, weight_decay=0.1)
    assert sorted({group["lr"] for group in groups}) == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_lora_learns_beside_the_weights(file):
    path, known = file
    model, transfer = small(), Transfer(weights=str(path), lora=2)
    transfer.adapt(model)
    transfer.start(model)
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(model.eval()(x), known.eval()(x))
    assert all("lora" in name or name.startswith("head.") for name in learning(model))
    assert transfer.follow(model, 0.0) == []
    with pytest.raises(InputError, match=r"transfer\.lora"):
        Transfer(weights=str(path), lora=2).adapt(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize("wrong", [{"thaw": 1.5}, {"decay": 0.0}, {"lora": -1}, {"lora": 2, "freeze": 1}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="lora"):
        Transfer(weights="x", **wrong)


def test_what_is_missing_is_named(file, tmp_path):
    with pytest.raises(InputError, match=r"missing .*layer"):
        Transfer(weights=str(file[0])).start(ResNet(3, 4, depth=14, width=4))
    with pytest.raises(InputError, match="no such file"):
        Transfer(weights=str(tmp_path / "gone.safetensors")).start(small())


def test_files_are_recognized_by_what_they_hold(tmp_path, shared_data):
    weights = shared_data / "cifar10-resnet-weights"
    for depth in (20, 56):
        found = recognized(weights / f"resnet{depth}.safetensors")
        assert found == ({"name": "resnet", "depth": depth}, "cifar", 3)
    save_weights(ResNet(1, 30, depth=18), tmp_path / "grey.safetensors", layout="torchvision")
    assert recognized(tmp_path / "grey.safetensors") == ({"name": "resnet", "depth": 18}, "torchvision", 1)
    save_weights(small(), tmp_path / "small.safetensors")
    assert recognized(tmp_path / "small.safetensors") is None
    save_file({"a": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    assert recognized(tmp_path / "a.safetensors") is None
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    assert recognized(tmp_path / "torn.safetensors") is None
