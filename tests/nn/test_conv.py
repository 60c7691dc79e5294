"""Picture blocks against their formulas and against torch's own layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.nn.conv import (
    ConvNormAct,
    DropPath,
    FittingAvgPool2d,
    FittingMaxPool2d,
    PaddedShortcut,
    PatchWhitening,
    SamePadded,
    SqueezeExcite,
    basic_block,
    bottleneck_block,
    dirac_,
    require_size,
)
from trainwell.nn.norm import FixedScaleBatchNorm2d, LayerNorm2d
from trainwell.nn.patch import PatchEmbed, resized_positions


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_unit_keeps_or_halves_the_size_rounded_up(kernel, stride):
    for size in (1, 2, 7, 8):
        x = torch.randn(2, 4, size, size)
        assert ConvNormAct(4, 6, kernel, stride=stride, groups=2)(x).shape[-1] == -(-size // stride)


def test_padded_shortcut_takes_every_second_pixel_between_zero_channels():
    x = torch.randn(2, 4, 5, 5)
    y = PaddedShortcut(4, 8, 2)(x)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2]) and not y[:, :2].any() and not y[:, 6:].any()


@pytest.mark.parametrize("block, factor", [(basic_block, 1), (bottleneck_block, 4)])
def test_residual_block_is_the_rectified_sum(block, factor):
    module = block(4, 8, 2).eval()
    x = torch.randn(2, 4, 6, 6)
    assert module(x).shape == (2, 8 * factor, 3, 3)
    torch.testing.assert_close(module(x), F.relu(module.body(x) + module.shortcut(x)))
    assert isinstance(block(8 * factor, 8, 1).shortcut, nn.Identity)


def test_squeeze_excite_scales_whole_channels():
    module = SqueezeExcite(6, 2)
    x = torch.randn(3, 6, 4, 4).abs() + 0.1
    gates = (module(x) / x).flatten(2)
    torch.testing.assert_close(gates, gates[:, :, :1].expand_as(gates))
    assert (gates > 0).all() and (gates < 1).all()


@pytest.mark.parametrize("kind, plain", [(FittingMaxPool2d, nn.MaxPool2d), (FittingAvgPool2d, nn.AvgPool2d)])
def test_fitting_pools_pool_where_they_fit(kind, plain):
    x = torch.randn(1, 2, 7, 9)
    torch.testing.assert_close(kind(3, 2)(x), plain(3, 2)(x))
    assert kind(3, 2)(x[:, :, :2]).shape == (1, 2, 2, 9)


@pytest.mark.parametrize(
    "size, kernel, stride, pads", [(8, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (8, 5, 2, (1, 2)), (8, 3, 1, (1, 1))]
)
def test_same_padding_is_that_of_tensorflow(size, kernel, stride, pads):
    """Worked out by hand: out = ceil(in / stride), the odd pixel after."""
    layer = SamePadded(2, 3, kernel, stride)
    x = torch.randn(1, 2, size, size)
    torch.testing.assert_close(layer(x), F.conv2d(F.pad(x, pads * 2), layer.weight, layer.bias, stride))


def test_drop_path_drops_whole_rows_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(4000, 3, 2)
    y = DropPath(0.25)(x).flatten(1)
    assert ((y == 0).all(1) | torch.isclose(y, torch.tensor(4 / 3)).all(1)).all()
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert torch.equal(DropPath(0.25).eval()(x), x)


@pytest.mark.parametrize("channels, patch", [(1, 3), (3, 2), (5, 2)])
def test_whitening_makes_patches_uncorrelated_and_survives_constant_pictures(channels, patch):
    torch.manual_seed(0)
    x = torch.randn(400, channels, 9, 9).cumsum(-1).cumsum(1)
    module = PatchWhitening(channels, patch)
    module.initialize(x)
    y = module(x)
    assert y.shape == (400, 2 * channels * patch**2, 10 - patch, 10 - patch)
    half = y[:, : y.shape[1] // 2].transpose(0, 1).flatten(1)
    torch.testing.assert_close(half @ half.T / half.shape[1], torch.eye(len(half)), atol=0.03, rtol=0)
    torch.testing.assert_close(y[:, y.shape[1] // 2 :], -y[:, : y.shape[1] // 2])
    module.initialize(torch.zeros(3, channels, 9, 9))
    assert torch.isfinite(module(x)).all()


@pytest.mark.parametrize("inside, outside", [(4, 6), (6, 4)])
def test_dirac_copies_inputs_to_the_first_outputs(inside, outside):
    layer = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    rest = layer.weight[inside:].clone()
    dirac_(layer)
    x = torch.randn(2, inside, 5, 5)
    shared = min(inside, outside)
    torch.testing.assert_close(layer(x)[:, :shared], x[:, :shared])
    assert torch.equal(layer.weight[inside:], rest)


def test_layer_norm_over_channels_and_fixed_scale():
    x = torch.randn(2, 6, 3, 4)
    y = LayerNorm2d(6)(x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 3, 4), atol=1e-6, rtol=0)
    torch.testing.assert_close(y[1, :, 2, 3], F.layer_norm(x[1, :, 2, 3], (6,)))
    norm = FixedScaleBatchNorm2d(6)
    assert not norm.weight.requires_grad and norm.bias.requires_grad
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.4 * x.mean((0, 2, 3)))


def test_patches_are_a_linear_map_of_each_square():
    module = PatchEmbed(2, 5, 4)
    x = torch.randn(3, 2, 8, 12)
    square = x[1, :, 4:8, 8:12].flatten()
    torch.testing.assert_close(module(x)[1, :, 1, 2], module.proj.weight.flatten(1) @ square + module.proj.bias)
    assert module(x[:, :, :7, :9]).shape == (3, 5, 2, 3)


def test_positions_keep_the_token_and_a_smooth_table_stays_smooth():
    ramp = torch.arange(8.0).repeat(8)[None, :, None]
    table = torch.cat([torch.full((1, 1, 1), 99.0), ramp], 1)
    assert resized_positions(table, 8, 8) is table
    larger = resized_positions(table, 16, 16)
    assert larger[0, 0, 0] == 99
    row = larger[0, 1:, 0].view(16, 16)[5]
    torch.testing.assert_close(row[4:12].diff(), torch.full((7,), 0.5), atol=0.1, rtol=0)


def test_too_small_a_picture_is_told_the_least_size():
    with pytest.raises(ValueError, match="at least 7"):
        require_size(torch.zeros(1, 3, 6, 20), 7)
