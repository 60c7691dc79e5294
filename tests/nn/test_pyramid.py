"""Pictures of any size to vectors and back."""

import pytest
import torch
from torch import nn

from trainwell.nn.pyramid import Grow, Shrink, halvings, smallest


@pytest.mark.parametrize(
    ("size", "stages", "least"),
    [((28, 28), 2, (7, 7)), ((32, 32), 3, (4, 4)), ((9, 64), 1, (5, 32)), ((33, 21), 2, (9, 6))],
)
def test_a_picture_shrinks_and_grows_back(size, stages, least):
    assert halvings(*size) == stages and smallest(*size) == least
    shrink, grow = Shrink(3, *size, maps=4, norm=nn.BatchNorm2d), Grow(10, 3, *size, maps=4, norm=nn.BatchNorm2d)
    x = torch.randn(2, 3, *size)
    assert shrink(x).shape == (2, shrink.features)
    assert grow(torch.randn(2, 10)).shape == x.shape
    assert sum(isinstance(layer, nn.Conv2d) for layer in shrink) == stages


def test_every_pixel_is_read_and_written():
    x = torch.randn(1, 1, 33, 21, requires_grad=True)
    shrink, grow = Shrink(1, 33, 21, maps=4), Grow(6, 1, 33, 21, maps=4)
    shrink(x).square().sum().backward()
    assert (x.grad != 0).all()
    assert (grow(torch.randn(1, 6)) != 0).all()


def test_too_small_a_picture_is_named():
    with pytest.raises(ValueError, match="5 x 28 pixels are too small"):
        halvings(5, 28)
