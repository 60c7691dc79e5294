"""Embeddings: parts in their order, the tied head, and means that leave padding out."""

import torch
from torch import nn

from trainwell.nn.embed import TokenEmbedding, mean_of_tokens
from trainwell.nn.position import LearnedPosition


def test_token_place_scale_and_norm_in_order():
    torch.manual_seed(0)
    embedding = TokenEmbedding(9, 4, position=LearnedPosition(6, 4), norm=nn.LayerNorm(4), scale=2.0)
    tokens, places = torch.tensor([[1, 5]]), torch.tensor([[0, 3]])
    wanted = embedding.norm(2 * embedding.token.weight[tokens] + embedding.position.weight[places])
    assert torch.allclose(embedding(tokens, places), wanted)


def test_tied_head_scores_by_dot_products():
    embedding, x = TokenEmbedding(9, 4), torch.randn(2, 3, 4)
    assert torch.allclose(embedding.scores(x), torch.einsum("btw,vw->btv", x, embedding.token.weight), atol=1e-6)


def test_means_leave_padding_out():
    x = torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    got = mean_of_tokens(x, mask)
    assert torch.allclose(got[0], x[0, :2].mean(0))
    assert got[1].eq(0).all()
    assert torch.allclose(mean_of_tokens(x), x.mean(1))
