"""Positions: against the papers' formulas and transformers' T5."""

import math

import pytest
import torch

from trainwell.nn.position import (
    Alibi,
    LearnedPosition,
    RelativeBias,
    Rotary,
    SinusoidalPosition,
    alibi_slopes,
    positions_of,
    rotate,
    sinusoids,
)


def test_positions_count_tokens_with_padding_on_either_side():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    assert positions_of(mask).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]


def test_sinusoids_are_the_formula():
    table = sinusoids(50, 10)
    for place in (0, 7, 49):
        for channel in range(5):
            angle = place / 10000 ** (2 * channel / 10)
            assert table[place, 2 * channel].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[place, 2 * channel + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)
    assert sinusoids(3, 5).shape == (3, 5)
    places = torch.tensor([[3, 1]])
    assert torch.equal(SinusoidalPosition(50, 10)(places)[0, 0], table[3])
    assert LearnedPosition(50, 10)(places).shape == (1, 2, 10)


def test_rotation_makes_scores_depend_on_distance_alone():
    torch.manual_seed(0)
    rotary, q, k = Rotary(8), torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def score(i: int, j: int) -> float:
        turned_q = rotate(q, rotary(torch.tensor([[i]])))
        turned_k = rotate(k, rotary(torch.tensor([[j]])))
        return (turned_q * turned_k).sum().item()

    assert score(5, 2) == pytest.approx(score(105, 102), abs=1e-4)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-4)
    assert torch.equal(rotate(q, rotary(torch.tensor([[0]]))), q)


def test_rotation_is_a_complex_product():
    x, place = torch.randn(1, 2, 1, 6), 4
    pairs = torch.complex(x[..., :3], x[..., 3:])
    turn = torch.polar(torch.ones(3), place * 10000.0 ** (-torch.arange(3) / 3))
    wanted = pairs * turn
    got = rotate(x, Rotary(6)(torch.tensor([[place]])))
    assert torch.allclose(torch.complex(got[..., :3], got[..., 3:]), wanted, atol=1e-6)


def test_alibi_slopes_and_penalties():
    assert torch.allclose(alibi_slopes(8), torch.tensor([2.0**-i for i in range(1, 9)]))
    # twelve heads: the eight of the paper, then every second of sixteen's
    assert torch.allclose(alibi_slopes(12)[8:], torch.tensor([2.0 ** (-(2 * i + 1) / 2) for i in range(4)]))
    places = torch.arange(5).unsqueeze(0)
    bias = Alibi(4)(places, places)
    assert bias.shape == (1, 4, 5, 5)
    assert bias[0, 1, 4, 1].item() == pytest.approx(-3 * 2.0**-4)


@pytest.mark.parametrize("both_ways", [True, False])
def test_relative_buckets_equal_transformers(both_ways):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    offset = torch.arange(-300, 300)
    wanted = t5.T5Attention._relative_position_bucket(offset, bidirectional=both_ways)
    bias = RelativeBias(2, both_ways=both_ways)
    assert torch.equal(bias.bucket(offset), wanted)
    assert bias(torch.arange(4)[None], torch.arange(6)[None]).shape == (1, 2, 4, 6)
