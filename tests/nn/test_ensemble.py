"""Member layers against one slow layer after another."""

import pytest
import torch

from trainwell.nn.embed_categories import MemberEmbedding, OneHot
from trainwell.nn.ensemble import MemberLinear, MemberScale, SharedLinear


def test_member_linear_is_a_loop_over_linears():
    layer = MemberLinear(3, 4, 5)
    x = torch.randn(3, 6, 4)
    for member in range(3):
        expected = torch.nn.functional.linear(x[member], layer.weight[member].T, layer.bias[member, 0])
        torch.testing.assert_close(layer(x)[member], expected)


def test_shared_linear_is_the_shared_matrix_times_an_outer_product():
    layer = SharedLinear(3, 4, 5)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(6, 3, 4)
    got = layer(x)
    for member in range(3):
        matrix = layer.shared.weight * torch.outer(layer.after.scale[member], layer.before.scale[member])
        torch.testing.assert_close(got[:, member], x[:, member] @ matrix.T + layer.bias[member], atol=1e-5, rtol=1e-5)


def test_members_of_a_shared_linear_start_equal():
    x = torch.randn(6, 1, 4).expand(-1, 3, -1)
    got = SharedLinear(3, 4, 5)(x)
    assert torch.equal(got[:, 0], got[:, 2])


def test_scales_start_as_asked():
    assert MemberScale(2, 3).scale.eq(1).all()
    assert MemberScale(2, 30, start="signs").scale.abs().eq(1).all()
    chunked = MemberScale(2, 5, chunks=[2, 3], start="normal").scale
    assert (chunked[:, 0] == chunked[:, 1]).all() and (chunked[:, 2:] == chunked[:, 2:3]).all()
    assert (chunked[:, 1] != chunked[:, 2]).all()
    with pytest.raises(ValueError, match="known: normal, ones, signs"):
        MemberScale(2, 3, start="zeros")


def test_one_hot_drops_the_unknown():
    codes = torch.tensor([[0, 2], [1, 0], [2, 1]])
    assert OneHot([3, 4])(codes).tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0]]
    assert OneHot([])(torch.zeros(4, 0, dtype=torch.long)).shape == (4, 0)


def test_member_embedding_looks_up():
    table = MemberEmbedding(2, 5, 3)
    assert torch.equal(table(torch.tensor([4, 0]))[1, 0], table.weight[1, 4])
