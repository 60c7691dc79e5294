"""Member layers against one slow layer after another."""

import pytest
import torch

from trainwell.nn.embed_categories import MemberEmbedding, OneHot
from trainwell.nn.ensemble import GroupLinear, MemberLinear, MemberScale, RankOneLinear, by_group, by_member


def test_member_linear_is_a_loop_over_linears():
    layer = MemberLinear(3, 4, 5)
    x = torch.randn(3, 6, 4)
    for member in range(3):
        expected = torch.nn.functional.linear(x[member], layer.weight[member].T, layer.bias[member, 0])
        torch.testing.assert_close(layer(x)[member], expected)


def test_members_go_to_groups_and_back():
    x = torch.arange(6.0)[:, None, None].expand(6, 4, 5)  # (members, batch, features)
    grouped = by_group(x, 3).transpose(1, 2)  # (groups, batch, members of a group, features)
    assert grouped.shape == (3, 4, 2, 5)
    assert grouped[1, 0, :, 0].tolist() == [1, 4]  # member m is of group m % groups
    assert torch.equal(by_member(grouped), x)


def test_group_linear_is_shared_within_a_group():
    layer = GroupLinear(3, 4, 5)
    x = torch.randn(3, 6, 2, 4)
    for group in range(3):
        torch.testing.assert_close(layer(x)[group], x[group] @ layer.weight[group] + layer.bias[group, 0])


@pytest.mark.parametrize("groups", [1, 2])
def test_rank_one_linear_is_the_shared_matrix_times_an_outer_product(groups):
    layer = RankOneLinear(4, 3, 5, groups=groups)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(groups, 6, 4 // groups, 3)
    got, given = by_member(layer(x)), by_member(x)
    for member in range(4):
        outer = torch.outer(layer.before.scale[member], layer.after.scale[member])
        expected = given[member] @ (layer.weight[member % groups] * outer) + layer.bias[member]
        torch.testing.assert_close(got[member], expected, atol=1e-5, rtol=1e-5)


def test_members_of_a_rank_one_linear_start_equal_within_their_group():
    x = torch.randn(1, 6, 1, 4).expand(2, -1, 3, -1)
    got = by_member(RankOneLinear(6, 4, 5, groups=2)(x))
    assert torch.equal(got[0], got[4])
    assert not torch.equal(got[0], got[1])


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
