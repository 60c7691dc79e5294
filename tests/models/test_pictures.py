"""What every picture network has to do: learn everywhere, memorize, keep rows apart, save, export, take any picture."""

import pytest
import torch
from torch import nn

from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.lenet import LeNet
from trainwell.models.resnet import ResNet
from trainwell.models.speednet import SpeedNet
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer

SMALL = {
    "lenet": lambda channels, classes: LeNet(channels, classes),
    "alexnet": lambda channels, classes: AlexNet(channels, classes, width=4, hidden=32, stem_stride=1, dropout=0.0),
    "vgg": lambda channels, classes: VGG(channels, classes, depth=11, width=4, hidden=32, dropout=0.0),
    "resnet8": lambda channels, classes: ResNet(channels, classes, depth=8, width=8),
    "resnet18": lambda channels, classes: ResNet(channels, classes, depth=18, width=4),
    "resnet50": lambda channels, classes: ResNet(channels, classes, depth=50, width=2, stem_stride=1),
    "densenet": lambda channels, classes: DenseNet(channels, classes, layers=(2, 2, 2), growth=4),
    "efficientnet": lambda channels, classes: EfficientNet(
        channels, classes, width=0.25, depth=0.3, stem_stride=1, dropout=0.0, drop_path=0.0
    ),
    "vit": lambda channels, classes: VisionTransformer(channels, classes, width=32, depth=2, heads=2, patch=4, side=16),
    "speednet": lambda channels, classes: SpeedNet(channels, classes, widths=(8, 16, 16)),
    "speednet3": lambda channels, classes: SpeedNet(channels, classes, widths=(8, 16), convolutions=3, patch=3),
}
LEAST = {"alexnet": 7, "speednet": 2, "speednet3": 3}  # pixels; all others take one pixel

PUBLISHED = [
    (61_706, lambda: LeNet(1, 10)),
    (61_100_840, lambda: AlexNet(3, 1000)),
    (138_357_544, lambda: VGG(3, 1000, depth=16, batch_norm=False)),
    (132_868_840, lambda: VGG(3, 1000, depth=11)),
    (11_689_512, lambda: ResNet(3, 1000, depth=18)),
    (21_797_672, lambda: ResNet(3, 1000, depth=34)),
    (25_557_032, lambda: ResNet(3, 1000, depth=50)),
    (44_549_160, lambda: ResNet(3, 1000, depth=101)),
    (60_192_808, lambda: ResNet(3, 1000, depth=152)),
    (269_722, lambda: ResNet(3, 10, depth=20)),
    (853_018, lambda: ResNet(3, 10, depth=56)),
    (7_978_856, lambda: DenseNet(3, 1000, depth=121)),
    (14_149_480, lambda: DenseNet(3, 1000, depth=169)),
    (20_013_928, lambda: DenseNet(3, 1000, depth=201)),
    (5_288_548, lambda: EfficientNet(3, 1000)),
    (66_347_960, lambda: EfficientNet(3, 1000, size="b7")),
    (86_567_656, lambda: VisionTransformer(3, 1000, size="base")),
    (5_717_416, lambda: VisionTransformer(3, 1000, size="tiny")),
]


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def made(name, channels=3, classes=4):
    torch.manual_seed(0)
    return SMALL[name](channels, classes)


def pictures(rows=8, channels=3, side=16, seed=1):
    return torch.randn(rows, channels, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count, make", PUBLISHED, ids=[f"{count:,}" for count, _ in PUBLISHED])
def test_has_as_many_parameters_as_published(count, make):
    with torch.device("meta"):
        assert sum(each.numel() for each in make().parameters()) == count


def test_gradient_reaches_every_parameter(name):
    model = made(name)
    nn.functional.cross_entropy(model(pictures()), torch.arange(8) % 4).backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


def test_memorizes_one_batch(name):
    model, x, y = made(name), pictures(), torch.arange(8) % 4
    if hasattr(model, "initialize"):
        model.initialize(x)
    rate = 0.02 if name.startswith("speednet") else 3e-3  # its scores are scaled down by nine
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=rate)
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            break
    assert loss < 0.05


def test_rows_do_not_see_each_other_and_features_feed_the_scores(name):
    model = made(name).eval()
    x = pictures()
    changed = x.clone()
    changed[1:] = 5 * changed[1:].flip(0)
    torch.testing.assert_close(model(changed)[:1], model(x)[:1])
    assert not torch.allclose(model(changed)[1:], model(x)[1:])
    torch.testing.assert_close(model(x[:1]), model(x)[:1], rtol=1e-4, atol=1e-5)


def test_features_are_maps_that_shrink(name):
    model = made(name).eval()
    maps = model.features(pictures(rows=2, side=40))
    assert len(maps) >= 2 and all(each.ndim == 4 and len(each) == 2 for each in maps)
    sizes = [each.shape[-1] for each in maps]
    assert sizes == sorted(sizes, reverse=True)


def test_saved_and_loaded_it_is_the_same(name):
    model, x = made(name), pictures()
    if hasattr(model, "initialize"):
        model.initialize(x)
    model(x)  # moves the running statistics
    torch.manual_seed(9)
    other = SMALL[name](3, 4)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.eval()(x), model.eval()(x), rtol=0, atol=0)


def test_exports_with_any_number_of_rows(name):
    model, x = made(name).eval(), pictures(rows=3)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = pictures(rows=5, seed=2)
    torch.testing.assert_close(program.module()(more), model(more), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_takes_any_channels_and_sizes(name, channels):
    model = made(name, channels).eval()
    for height, width in ((8, 8), (28, 28), (32, 47), (65, 9)):
        assert model(torch.randn(2, channels, height, width)).shape == (2, 4)


def test_smallest_picture_works_and_a_smaller_one_is_refused_with_the_least_size(name):
    model, least = made(name).eval(), LEAST.get(name, 1)
    assert model(torch.randn(2, 3, least, least)).shape == (2, 4)
    if least > 1:
        with pytest.raises(ValueError, match=f"at least {least}"):
            model(torch.randn(2, 3, least - 1, least - 1))


def test_channels_last_and_bfloat16_agree_with_float32(name):
    model, x = made(name).eval(), pictures()
    with torch.no_grad():
        exact = model(x)
        last = model.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(x).float()
    torch.testing.assert_close(last, exact, rtol=1e-3, atol=1e-4)
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max() + 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResNet(3, 4, depth=19),
        lambda: ResNet(3, 4, stem_stride=3),
        lambda: VGG(3, 4, depth=12),
        lambda: DenseNet(3, 4, depth=120),
        lambda: DenseNet(3, 4, stem_stride=3),
        lambda: EfficientNet(3, 4, size="b8"),
        lambda: VisionTransformer(3, 4, size="huge"),
        lambda: VisionTransformer(3, 4, width=30, heads=4),
    ],
)
def test_unknown_shapes_are_refused(make):
    with pytest.raises(ValueError, match=r"expected|multiple"):
        make()


def test_speednet_whitens_and_keeps_identity_at_the_start():
    """Whitened patches are uncorrelated with unit variance; the first filters copy their input."""
    torch.manual_seed(0)
    mixed = torch.randn(500, 3, 10, 10).cumsum(-1) * 0.3
    model = SpeedNet(3, 4, widths=(32, 40, 40))
    model.initialize(mixed)
    white = nn.functional.conv2d(mixed, model.whiten.weight)[:, :12].transpose(0, 1).flatten(1)
    second_moment = white @ white.T / white.shape[1]
    torch.testing.assert_close(second_moment, torch.eye(12), atol=0.02, rtol=0)
    x = torch.rand(2, 24, 5, 5)
    copied = model.groups[0].convolutions[0](x)[:, :24]
    torch.testing.assert_close(copied, x)


def test_speednet_gives_biases_their_rate_and_freezes_scales():
    model = SpeedNet(3, 4, widths=(8, 16), bias_rate=64)
    groups = model.parameter_groups(0.1, 0.2)
    assert [group["lr"] for group in groups] == [0.1, pytest.approx(6.4)]
    learned = {id(each) for group in groups for each in group["params"]}
    assert learned == {id(each) for each in model.parameters() if each.requires_grad}
    assert len(groups[1]["params"]) == 4


def test_vit_pads_to_whole_patches_with_zeros():
    model = made("vit").eval()
    x = torch.zeros(2, 3, 16, 16)
    x[:, :, :13, :14] = pictures(rows=2)[:, :, :13, :14]
    torch.testing.assert_close(model(x[:, :, :13, :14]), model(x))
