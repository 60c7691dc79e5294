"""Blocks against torch's encoder and decoder layers; views and caches of unequal prompts."""

import pytest
import torch
from torch import nn

from trainwell.nn.attention import CrossAttention, SelfAttention, View
from trainwell.nn.feed_forward import FeedForward
from trainwell.nn.transformer import (
    Block,
    Cache,
    CrossBlock,
    PostNorm,
    PreNorm,
    causal_view,
    encoder_view,
    initialize_small,
    with_bias,
)


def copy_attention(ours: nn.Module, twin: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        twin.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        twin.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    twin.out_proj.load_state_dict(ours.output.state_dict())


@pytest.mark.parametrize(("branch", "first"), [(PreNorm, True), (PostNorm, False)])
def test_blocks_equal_torch_layers(branch, first):
    torch.manual_seed(0)
    ours = CrossBlock(
        branch(nn.LayerNorm(16), SelfAttention(16, 4)),
        branch(nn.LayerNorm(16), CrossAttention(16, 4)),
        branch(nn.LayerNorm(16), FeedForward(16, 32, nn.ReLU())),
    )
    twin = nn.TransformerDecoderLayer(16, 4, 32, dropout=0.0, batch_first=True, norm_first=first)
    copy_attention(ours.attention.part, twin.self_attn)
    copy_attention(ours.cross.part, twin.multihead_attn)
    twin.linear1.load_state_dict(ours.feed_forward.part.up.state_dict())
    twin.linear2.load_state_dict(ours.feed_forward.part.down.state_dict())
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    wanted = twin(x, memory, tgt_mask=~torch.ones(5, 5).tril().bool(), tgt_is_causal=True)
    assert torch.allclose(ours(x, View(causal=True), memory, View()), wanted, atol=1e-6)

    block = Block(ours.attention, ours.feed_forward)
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True, norm_first=first)
    copy_attention(ours.attention.part, layer.self_attn)
    layer.linear1, layer.linear2 = twin.linear1, twin.linear2
    assert torch.allclose(block(x, View()), layer(x), atol=1e-6)


def test_views_of_prompts_padded_on_the_left():
    tokens = torch.zeros(2, 4, dtype=torch.long)
    mask = torch.tensor([[False, True, True, True], [True, True, True, True]])
    positions, view = causal_view(tokens, mask, None)
    assert positions.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert view.mask[0, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert causal_view(tokens, None, None)[1] == View(causal=True)
    positions, view = encoder_view(tokens, mask)
    assert view.mask.shape == (2, 1, 1, 4) and not view.mask[0, 0, 0, 0]


def test_cache_places_tokens_after_unequal_prompts():
    cache = Cache(1, 8)
    cpu = torch.device("cpu")
    mask = torch.tensor([[False, True], [True, True]])
    positions, padding = cache.place(mask, 2, 2, cpu)
    assert positions.tolist() == [[0, 0], [0, 1]] and padding.tolist() == mask.tolist()
    cache.layers[0].append(torch.zeros(2, 1, 2, 1), torch.zeros(2, 1, 2, 1))
    positions, padding = cache.place(None, 2, 1, cpu)
    assert positions.tolist() == [[1], [2]] and padding.tolist() == [[False, True, True], [True, True, True]]
    cache.expand(2)
    assert cache.padding.shape[0] == 4 and cache.layers[0].keys.shape[0] == 4


def test_bias_hides_what_the_mask_hides():
    bias = torch.ones(1, 2, 2, 2)
    got = with_bias(bias, torch.tensor([[True, False], [True, True]])[None, None])
    assert got[0, 1].tolist() == [[1, -torch.inf], [1, 1]]
    assert with_bias(bias, None) is bias


def test_small_first_weights():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(200, 50), nn.Linear(50, 200))
    initialize_small(module)
    assert module[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert module[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert module[1].bias.eq(0).all()
