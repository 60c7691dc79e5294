"""Number embeddings against their formulas in NumPy."""

import numpy
import pytest
import torch

from trainwell.nn.embed_numbers import (
    Periodic,
    PeriodicBiasDense,
    PiecewiseLinear,
    PiecewiseLinearEncoding,
)


def encode(column, bins):
    """Piecewise linear encoding of one column, bin by bin, with the edges at its quantiles."""
    edges = numpy.unique(numpy.quantile(column.astype(numpy.float64), numpy.linspace(0, 1, bins + 1)))
    encoded = numpy.zeros((len(column), bins))
    last = len(edges) - 2
    for index in range(last + 1):
        share = (column - edges[index]) / (edges[index + 1] - edges[index])
        if index > 0:
            share = numpy.maximum(share, 0)
        if index < last:
            share = numpy.minimum(share, 1)
        encoded[:, bins - 1 if index == last else index] = share
    return encoded


def test_encoding_is_the_closed_form():
    random = numpy.random.default_rng(0)
    x = numpy.stack(
        [random.normal(size=500), random.exponential(size=500), random.integers(0, 4, 500), random.integers(0, 2, 500)],
        axis=1,
    )
    encoding = PiecewiseLinearEncoding(4, 8)
    encoding.fit(torch.from_numpy(x).float())
    got = encoding(torch.from_numpy(x).float()).numpy()
    expected = numpy.stack([encode(x[:, column], 8) for column in range(4)], axis=1)
    numpy.testing.assert_allclose(got, expected, atol=2e-4)


def test_encoding_of_one_value_by_hand():
    encoding = PiecewiseLinearEncoding(1, 4)
    encoding.fit(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]))
    assert encoding(torch.tensor([[1.5]])).tolist() == [[[1, 0.5, 0, 0]]]
    assert encoding(torch.tensor([[6.0]])).tolist() == [[[1, 1, 1, 3]]]  # goes on in a line
    assert encoding(torch.tensor([[-2.0]])).tolist() == [[[-2, 0, 0, 0]]]


def test_a_constant_column_and_a_reload():
    encoding = PiecewiseLinearEncoding(2, 5)
    encoding.fit(torch.stack([torch.full((9,), 7.0), torch.arange(9.0)], dim=1))
    x = torch.tensor([[7.0, 3.0], [8.0, 100.0]])
    assert encoding(x).isfinite().all()
    fresh = PiecewiseLinearEncoding(2, 5)
    fresh.load_state_dict(encoding.state_dict())
    assert torch.equal(fresh(x), encoding(x))
    with pytest.raises(ValueError, match="2 or more"):
        PiecewiseLinearEncoding(1, 1)


def test_piecewise_linear_starts_linear_and_adds_steps():
    layer = PiecewiseLinear(3, 5, members=2, bins=6)
    x = torch.randn(40, 3)
    layer.fit(x)
    lines = x[None, :, :, None] * layer.slope.transpose(1, 2) + layer.bias.transpose(1, 2)
    torch.testing.assert_close(layer(x), lines)
    torch.nn.init.normal_(layer.weight)
    expected = lines + torch.einsum("bcn,mcno->mbco", layer.encoding(x), layer.weight)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_periodic_is_its_formula():
    layer = Periodic(2, 5, frequencies=7, scale=0.3)
    x = torch.randn(4, 2)
    got = layer(x)
    assert got.shape == (4, 2, 5)
    for column in range(2):
        angles = 2 * numpy.pi * x[:, column, None] * layer.frequency[column]
        waves = torch.cat([angles.cos(), angles.sin()], 1)
        expected = (waves @ layer.weight[column] + layer.bias[column]).relu()
        torch.testing.assert_close(got[:, column], expected, atol=1e-6, rtol=1e-5)


def test_periodic_bias_dense_is_its_formula_and_keeps_the_number():
    layer = PeriodicBiasDense(2, 4, members=3, frequencies=6, scale=0.5)
    x = torch.randn(5, 2)
    got = layer(x)
    assert got.shape == (3, 5, 2, 4)
    assert torch.equal(got[..., -1], x.expand(3, 5, 2))
    for member in range(3):
        for column in range(2):
            angles = 2 * numpy.pi * x[:, column, None] * layer.frequency[member, column] + layer.phase[member, column]
            expected = angles.cos() @ layer.weight[member, column] + layer.bias[member, column]
            torch.testing.assert_close(got[member, :, column, :3], expected, atol=1e-5, rtol=1e-5)
