"""Attention: against torch's own module, against its weights written out, and what masks and caches promise."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from trainwell.nn.attention import (
    AdditiveAttention,
    CrossAttention,
    KeyValueCache,
    SelfAttention,
    View,
    attend,
    attention_maps,
    attention_weights,
    visible,
)
from trainwell.nn.position import Alibi, Rotary


def torch_twin(ours: nn.Module, width: int, heads: int) -> nn.MultiheadAttention:
    twin = nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        twin.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        twin.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        twin.out_proj.load_state_dict(ours.output.state_dict())
    return twin


def test_self_attention_equals_torch_with_padding_and_causality():
    torch.manual_seed(0)
    ours = SelfAttention(16, 4)
    twin = torch_twin(ours, 16, 4)
    x = torch.randn(3, 7, 16)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    view = View(visible(mask, 7, 7, causal=False, device=x.device))
    wanted = twin(x, x, x, key_padding_mask=~mask)[0]
    assert torch.allclose(ours(x, view), wanted, atol=1e-6)
    hidden = ~torch.ones(7, 7, dtype=torch.bool).tril()
    assert torch.allclose(ours(x, View(causal=True)), twin(x, x, x, attn_mask=hidden)[0], atol=1e-6)


def test_cross_attention_equals_torch_and_its_remembered_self():
    torch.manual_seed(0)
    ours = CrossAttention(16, 4)
    x, memory = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    wanted = torch_twin(ours, 16, 4)(x, memory, memory)[0]
    assert torch.allclose(ours(x, memory), wanted, atol=1e-6)
    assert torch.equal(ours(x, ours.remember(memory)), ours(x, memory))


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("kind", ["free", "causal", "mask", "bias"])
def test_weights_written_out_give_what_the_kernel_gives(kind, key_heads):
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 4, 6, 8), torch.randn(2, key_heads, 6, 8), torch.randn(2, key_heads, 6, 8)
    places = torch.arange(6).unsqueeze(0)
    view = {
        "free": View(),
        "causal": View(causal=True),
        "mask": View((torch.rand(2, 1, 6, 6) < 0.7) | torch.eye(6).bool()),
        "bias": View(Alibi(4)(places, places)),
    }[kind]
    weights = attention_weights(q, k, view)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 6), atol=1e-6)
    wanted = weights @ v.repeat_interleave(4 // key_heads, dim=1)
    assert torch.allclose(attend(q, k, v, view), wanted, atol=1e-6)


LATER = torch.ones(9, 9, dtype=torch.bool).triu(1)
SEEN_BY_ROW = torch.stack((~LATER, torch.ones(9, 9).bool())).unsqueeze(1)  # the first row looks back, the second around


@pytest.mark.parametrize(
    "view",
    [View(), View(causal=True), View(Alibi(4)(*[torch.arange(9).unsqueeze(0)] * 2)), View(~LATER), View(SEEN_BY_ROW)],
)
@pytest.mark.parametrize("automatic", [True, False])
def test_attention_learned_in_bfloat16_is_near_that_in_float32(view, automatic):
    torch.manual_seed(0)
    exact = [torch.randn(2, heads, 9, 8).requires_grad_() for heads in (4, 2, 2)]
    kind = torch.float32 if automatic else torch.bfloat16
    given = [each.detach().to(kind, copy=True).requires_grad_() for each in exact]
    with torch.autocast("cpu", torch.bfloat16, enabled=automatic):
        learned = attend(*given, view, scale=0.5)
        with torch.no_grad():
            answered = attend(*given, view, scale=0.5)
    assert learned.dtype == answered.dtype == torch.bfloat16
    wanted = attend(*exact, view, scale=0.5)
    weight = torch.randn_like(wanted)
    (learned * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(learned.float(), wanted, rtol=0.02, atol=0.02)
    torch.testing.assert_close(answered.float(), wanted, rtol=0.02, atol=0.02)
    for ours, theirs in zip(given, exact, strict=True):
        assert ours.grad.dtype == ours.dtype
        assert (ours.grad.float() - theirs.grad).norm() < 0.02 * theirs.grad.norm()


def test_attention_in_products_drops_as_many_weights_as_it_is_told():
    torch.manual_seed(0)
    query, key = (torch.randn(1, 1, 64, 8, dtype=torch.bfloat16).requires_grad_() for _ in range(2))
    seen = attend(query, key, torch.eye(64, dtype=torch.bfloat16)[None, None], View(), dropout=0.25)
    assert 0.2 < float((seen == 0).float().mean()) < 0.3  # values are unit vectors, so the answers are the weights
    assert seen.sum(-1).mean().item() == pytest.approx(1, abs=0.05)


def test_what_watches_functions_sees_attention_written_out_as_one():
    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function.__name__)
            return function(*args, **(kwargs or {}))

    seen: list[str] = []
    query = torch.randn(1, 2, 5, 8, dtype=torch.bfloat16).requires_grad_()
    with Watch():
        attend(query, query, query, View())
    assert "attend_in_products" in seen and "bmm" not in seen


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("change", ["none", "watched", "frozen", "no bias"])
def test_queries_keys_and_values_learned_together_equal_those_learned_apart(bias, change):
    torch.manual_seed(0)
    part = SelfAttention(16, 4, key_heads=2, bias=bias)
    calls: list[int] = []
    if change == "watched":
        part.key.register_forward_hook(lambda *_: calls.append(1))
    part.key.weight.requires_grad_(change != "frozen")
    part.value.bias = None if change == "no bias" else part.value.bias
    x = torch.randn(2, 5, 16)
    learned = part.project(x, View())
    with torch.no_grad():
        answered = part.project(x, View())
    for ours, theirs in zip(learned, answered, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert len(calls) == (2 if change == "watched" else 0)
    sum((each * each).sum() for each in learned).backward()
    gradients = {name: weight.grad for name, weight in part.named_parameters()}
    apart = [part.query(x), part.key(x), part.value(x)]
    part.zero_grad()
    sum((each * each).sum() for each in apart).backward()
    for name, weight in part.named_parameters():
        assert (weight.grad is None) == (gradients[name] is None)
        if weight.grad is not None:
            torch.testing.assert_close(gradients[name], weight.grad, atol=1e-4, rtol=1e-5)


def test_grouped_queries_equal_full_heads_with_repeated_keys():
    torch.manual_seed(0)
    few, full = SelfAttention(16, 4, key_heads=2), SelfAttention(16, 4)
    state = few.state_dict()
    for name in ("key.weight", "key.bias", "value.weight", "value.bias"):
        part = state[name].view(2, 4, *state[name].shape[1:])
        state[name] = part.repeat_interleave(2, dim=0).flatten(0, 1)
    full.load_state_dict(state)
    x = torch.randn(2, 5, 16)
    assert torch.allclose(few(x), full(x), atol=1e-6)


def test_heads_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="width 10 does not split into 4 heads"):
        SelfAttention(10, 4)
    with pytest.raises(ValueError, match="3 key heads"):
        SelfAttention(16, 4, key_heads=3)


def test_cache_step_by_step_equals_all_at_once_and_grows_when_full():
    torch.manual_seed(0)
    attention, rotary = SelfAttention(16, 4, key_heads=2), Rotary(4)
    x, places = torch.randn(2, 9, 16), torch.arange(9).unsqueeze(0)
    wanted = attention(x, View(causal=True, rotation=rotary(places)))
    cache = KeyValueCache(capacity=5)
    parts = [attention(x[:, :4], View(causal=True, rotation=rotary(places[:, :4])), cache)]
    parts += [attention(x[:, i : i + 1], View(rotation=rotary(places[:, i : i + 1])), cache) for i in range(4, 9)]
    assert torch.allclose(torch.cat(parts, 1), wanted, atol=1e-6)
    assert cache.length == 9


def test_cache_rows_expand_and_reorder():
    cache = KeyValueCache(8)
    key = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 3, 4)
    cache.append(key, -key)
    cache.expand(2)
    assert cache.keys[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    cache.reorder(torch.tensor([0, 2, 2, 0]))
    assert cache.keys[:, 0, 0, 0].tolist() == [0, 1, 1, 0]
    keys, values = cache.append(torch.full((4, 1, 1, 4), 9.0), torch.full((4, 1, 1, 4), 9.0))
    assert keys.shape == (4, 1, 4, 4) and values[1, 0, 0, 0] == -1


def test_rows_of_padding_stay_finite():
    mask = torch.tensor([[False] * 4, [False, False, True, True]])
    attention, x = SelfAttention(8, 2), torch.randn(2, 4, 8)
    for causal in (True, False):
        assert attention(x, View(visible(mask, 4, 4, causal=causal, device=x.device))).isfinite().all()
    assert visible(None, 1, 4, causal=True, device=x.device) is None


def test_additive_attention_is_the_papers_formula():
    torch.manual_seed(0)
    attention = AdditiveAttention(6, 10, width=4)
    query, memory = torch.randn(2, 6), torch.randn(2, 3, 10)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    context, weights = attention(query, memory, mask)
    for row in range(2):
        scores = torch.stack(
            [
                attention.score.weight[0]
                @ torch.tanh(attention.query.weight @ query[row] + attention.key(memory[row, place]))
                for place in range(3)
            ]
        )
        wanted = F.softmax(scores.masked_fill(~mask[row], -torch.inf), 0)
        assert torch.allclose(weights[row], wanted, atol=1e-6)
        assert torch.allclose(context[row], wanted @ memory[row], atol=1e-6)
    assert weights[1].tolist() == [1, 0, 0]


def test_attention_maps_are_kept_within_the_block_alone():
    model = nn.ModuleDict({"first": SelfAttention(8, 2), "second": CrossAttention(8, 2)})
    x = torch.randn(2, 3, 8)
    with attention_maps(model) as maps:
        model["second"](model["first"](x), x)
    assert maps["first"][0].shape == (2, 2, 3, 3) and len(maps["second"]) == 1
    model["first"](x)
    assert len(maps["first"]) == 1


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_that_sees_no_key_is_zero_in_products_too(kind):
    torch.manual_seed(0)
    parts = [torch.randn(2, 2, 6, 8, requires_grad=True) for _ in range(3)]
    mask = torch.ones(2, 1, 6, 6, dtype=torch.bool).tril()
    mask[0, :, 1] = False
    if kind == "float":
        mask = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
    expected = F.scaled_dot_product_attention(*parts, attn_mask=mask)
    with torch.autocast("cpu", torch.bfloat16):
        seen = attend(*parts, View(mask=mask))
    assert seen.dtype == torch.bfloat16 and bool((seen[0, :, 1] == 0).all())
    torch.testing.assert_close(seen.float(), expected, atol=0.03, rtol=0.03)
    seen.float().square().sum().backward()
    assert all(bool(each.grad.isfinite().all()) for each in parts)
