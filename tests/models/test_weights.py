"""Published weight files against this package's networks: the same outputs, nothing skipped."""

import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainwell.errors import InputError
from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.lenet import LeNet
from trainwell.models.resnet import ResNet
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer
from trainwell.models.weight_layouts import LAYOUTS
from trainwell.models.weights import layouts, load_weights, names, save_weights

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

SMALL = {
    "resnet18": lambda classes=4: ResNet(3, classes, depth=18, width=4),
    "resnet50": lambda classes=4: ResNet(3, classes, depth=50, width=2),
    "resnet8": lambda classes=4: ResNet(3, classes, depth=8, width=4),
    "alexnet": lambda classes=4: AlexNet(3, classes, width=2, hidden=8),
    "vgg": lambda classes=4: VGG(3, classes, depth=11, width=2, hidden=8),
    "densenet": lambda classes=4: DenseNet(3, classes, growth=2),
    "efficientnet": lambda classes=4: EfficientNet(3, classes, width=0.25, depth=0.5),
    "vit": lambda classes=4: VisionTransformer(3, classes, width=16, depth=2, heads=2, patch=8, side=32),
    "lenet": lambda classes=4: LeNet(3, classes),
}
CASES = [(name, layout) for name, make in SMALL.items() for layout in layouts(make())]


def jittered(model):
    """The model with every parameter and statistic moved off its start, so that a swap of two would show."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=generator)
                value.add_(0.5 * noise) if "running_var" in name else value.add_(0.1 * (noise - 0.5))
    return model.eval()


@pytest.mark.parametrize("name, layout", CASES)
def test_a_layout_names_every_entry_once_and_goes_there_and_back(name, layout, tmp_path):
    torch.manual_seed(0)
    model, other = jittered(SMALL[name]()), SMALL[name]().eval()
    table = names(model, layout)
    assert set(table) == set(model.state_dict())
    published = [each for theirs in table.values() for each in theirs]
    assert len(published) == len(set(published))
    save_weights(model, tmp_path / "w.safetensors", layout=layout)
    loaded = load_weights(other, tmp_path / "w.safetensors")
    assert loaded.fresh == []
    assert layout in ("cifar", loaded.layout) or names(model, loaded.layout) == table
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)


def test_torchvision_names_are_the_published_ones():
    """A few names of each published file, as its library's documentation and state dicts have them."""
    known = {
        "resnet50": [
            "conv1.weight",
            "bn1.running_var",
            "layer3.1.conv3.weight",
            "layer2.0.downsample.1.bias",
            "fc.bias",
        ],
        "alexnet": ["features.0.weight", "features.10.bias", "classifier.1.weight", "classifier.6.bias"],
        "vgg": ["features.0.weight", "features.1.running_mean", "features.26.running_var", "classifier.3.weight"],
        "densenet": [
            "features.conv0.weight",
            "features.denseblock3.denselayer24.conv2.weight",
            "features.transition3.conv.weight",
            "features.norm5.weight",
            "classifier.weight",
        ],
        "efficientnet": [
            "features.0.0.weight",
            "features.1.0.block.1.fc1.weight",
            "features.2.0.block.3.1.running_mean",
            "features.8.0.weight",
            "classifier.1.bias",
        ],
        "vit": [
            "class_token",
            "conv_proj.weight",
            "encoder.pos_embedding",
            "encoder.layers.encoder_layer_1.self_attention.in_proj_weight",
            "encoder.layers.encoder_layer_0.mlp.3.bias",
            "encoder.ln.weight",
            "heads.head.weight",
        ],
    }
    for name, expected in known.items():
        published = {each for theirs in names(SMALL[name](), "torchvision").values() for each in theirs}
        assert set(expected) <= published, set(expected) - published


def agree(model, reference, tmp_path, x):
    """Loads the reference's weights into the model and compares outputs to 1e-5 of their size."""
    jittered(reference)
    save_file({key: value.contiguous() for key, value in reference.state_dict().items()}, tmp_path / "w.safetensors")
    loaded = load_weights(model.eval(), tmp_path / "w.safetensors")
    assert loaded.layout.startswith("transformers") and not loaded.fresh
    with torch.no_grad():
        expected, found = reference(x).logits, model(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_resnet_equals_transformers(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    counts = [2, 2, 2, 2] if kind == "basic" else [3, 4, 6, 3]
    sizes = [8, 16, 32, 64] if kind == "basic" else [16, 32, 64, 128]
    config = transformers.ResNetConfig(
        embedding_size=8 if kind == "basic" else 4, hidden_sizes=sizes, depths=counts, layer_type=kind, num_labels=7
    )
    torch.manual_seed(0)
    model = ResNet(3, 7, depth=18, width=8) if kind == "basic" else ResNet(3, 7, depth=50, width=4)
    agree(model, transformers.ResNetForImageClassification(config), tmp_path, torch.randn(2, 3, 64, 48))


def test_efficientnet_equals_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.EfficientNetConfig(
        width_coefficient=0.5, depth_coefficient=1.0, hidden_dim=640, image_size=64, num_labels=7
    )
    torch.manual_seed(0)
    model = EfficientNet(3, 7, width=0.5, padding="same", eps=1e-3)
    agree(model, transformers.EfficientNetForImageClassification(config), tmp_path, torch.randn(2, 3, 64, 64))


def test_vit_equals_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=32,
        patch_size=8,
        layer_norm_eps=1e-6,
        num_labels=7,
    )
    torch.manual_seed(0)
    model = VisionTransformer(3, 7, width=32, depth=3, heads=4, patch=8, side=32)
    reference = transformers.ViTForImageClassification(config)
    agree(model, reference, tmp_path, torch.randn(2, 3, 32, 32))
    reference.save_pretrained(tmp_path)  # the names of files on the hub
    again = VisionTransformer(3, 7, width=32, depth=3, heads=4, patch=8, side=32)
    assert load_weights(again, tmp_path / "model.safetensors").layout.startswith("transformers")
    assert torch.equal(again.blocks[2].qkv.weight, model.blocks[2].qkv.weight)


def test_missing_unexpected_and_misshapen_names_are_all_told_and_nothing_changes(tmp_path):
    model = SMALL["resnet8"]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    save_weights(jittered(SMALL["resnet8"]()), tmp_path / "w.safetensors", layout="torchvision")
    tensors = load_file(tmp_path / "w.safetensors")
    del tensors["layer2.0.conv1.weight"]
    tensors["extra.weight"] = torch.zeros(1)
    tensors["conv1.weight"] = torch.zeros(4, 1, 3, 3)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as raised:
        load_weights(model, tmp_path / "w.safetensors")
    for part in ("missing layer2.0.conv1.weight", "unexpected extra.weight", "(4, 1, 3, 3), expected (4, 3, 3, 3)"):
        assert part in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", [name for name in SMALL if name != "lenet"])
def test_head_for_other_classes_is_replaced_only_when_asked(name, tmp_path):
    save_weights(jittered(SMALL[name](classes=9)), tmp_path / "w.safetensors", layout=layouts(SMALL[name]())[1])
    model = SMALL[name]()
    with pytest.raises(InputError, match="new_head=True"):
        load_weights(model, tmp_path / "w.safetensors")
    head = model.head.weight.clone()
    loaded = load_weights(model, tmp_path / "w.safetensors", new_head=True)
    assert sorted(loaded.fresh) == ["head.bias", "head.weight"]
    assert torch.equal(model.head.weight, head)


def test_wrappers_prefixes_and_base_networks_without_head(tmp_path):
    reference = jittered(SMALL["resnet18"]())
    table = names(reference, "transformers")
    state = reference.state_dict()
    base = {table[key][0].removeprefix("resnet."): value for key, value in state.items() if not key.startswith("head")}
    save_file(base, tmp_path / "base.safetensors")
    model = SMALL["resnet18"]()
    with pytest.raises(InputError, match=r"missing classifier\.1\.weight"):
        load_weights(model, tmp_path / "base.safetensors")
    assert sorted(load_weights(model, tmp_path / "base.safetensors", new_head=True).fresh) == [
        "head.bias",
        "head.weight",
    ]
    save_file({"module." + key: value for key, value in state.items()}, tmp_path / "wrapped.safetensors")
    assert load_weights(model, tmp_path / "wrapped.safetensors").layout == "trainwell"
    assert torch.equal(model.head.weight, reference.head.weight)


def test_a_runs_own_checkpoint_and_folder_open(tmp_path):
    reference = jittered(SMALL["resnet8"]())
    run = {"0.mean": torch.zeros(1, 3, 1, 1), "0.scale": torch.ones(1, 3, 1, 1)}
    run |= {"1." + key: value for key, value in reference.state_dict().items()}
    (tmp_path / "checkpoints").mkdir()
    save_file(run, tmp_path / "checkpoints" / "best.safetensors")
    model = SMALL["resnet8"]().eval()
    assert load_weights(model, tmp_path) == ("trainwell", [])
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(model(x), reference(x))


def test_positions_are_interpolated_to_another_picture_size(tmp_path):
    save_weights(jittered(SMALL["vit"]()), tmp_path / "w.safetensors", layout="timm")
    larger = VisionTransformer(3, 4, width=16, depth=2, heads=2, patch=8, side=64)
    assert not load_weights(larger, tmp_path / "w.safetensors").fresh
    small = load_file(tmp_path / "w.safetensors")["pos_embed"]
    torch.testing.assert_close(larger.positions[:, 0], small[:, 0])
    assert abs(larger.positions[:, 1:].mean() - small[:, 1:].mean()) < 0.01


def test_pickles_other_files_and_unknown_layouts_are_refused_with_a_reason(tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    (tmp_path / "w.pth").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="pickled"):
        load_weights(SMALL["lenet"](), tmp_path / "w.pth")
    with pytest.raises(InputError, match="no such file"):
        load_weights(SMALL["lenet"](), tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="torchvision"):
        save_weights(SMALL["vgg"](), tmp_path / "w.safetensors", layout="torchvison")


def test_every_network_with_layouts_is_tried_here():
    assert {type(make()) for make in SMALL.values()} >= set(LAYOUTS)


@pytest.mark.parametrize(
    "depth, rows, published, tolerance",
    [(20, 10_000, 0.8103, 0.0003), (32, 500, 0.834, 0.03), (44, 500, 0.830, 0.03), (56, 500, 0.837, 0.03)],
)
def test_published_cifar_networks_reach_their_figure_on_these_jpegs(depth, rows, published, tolerance):
    """ResNet-20 on all test pictures, 11 s of one core; the others, known on the first 2,000, on the first 500."""
    weights = SHARED / "cifar10-resnet-weights" / f"resnet{depth}.safetensors"
    if not weights.exists():
        pytest.skip(f"{weights} is not here")
    x, y = cifar10_test(rows)
    model = ResNet(3, 10, depth=depth).eval()
    assert load_weights(model, weights) == ("cifar", [])
    assert right(model, x, y) == pytest.approx(published, abs=tolerance)


def cifar10_test(rows):
    """The first test pictures, normalized as the published networks expect, and their classes."""
    import numpy as np
    import polars as pl
    from PIL import Image

    frame = pl.read_parquet(SHARED / "cifar10" / "test.parquet", n_rows=rows)
    pictures = [np.asarray(Image.open(io.BytesIO(each["bytes"])).convert("RGB")) for each in frame["image"]]
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    return x.contiguous(memory_format=torch.channels_last), torch.tensor(frame["label"].to_list())


@torch.no_grad()
def right(model, x, y):
    """The share of pictures whose likeliest class is the right one."""
    return sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500), strict=True)) / len(y)
