"""Low-rank additions: nothing at first, learned alone, merged to the same function, equal to the sum written out."""

import copy

import pytest
import torch
from torch import nn

from trainwell.models.efficientnet import EfficientNet
from trainwell.models.resnet import ResNet
from trainwell.models.vit import VisionTransformer
from trainwell.nn.lora import LoRAConv2d, LoRALinear, add_lora, lora_state_dict, merge_lora

MODELS = {
    "resnet": lambda: ResNet(3, 4, depth=8, width=8),
    "efficientnet": lambda: EfficientNet(3, 4, width=0.25, depth=0.3, dropout=0.0, drop_path=0.0),
    "vit": lambda: VisionTransformer(3, 4, width=32, depth=2, heads=2, patch=8, side=16),
}
X, Y = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    model = MODELS[request.param]()
    model(X)  # statistics of the batch norms move off their start
    return model


def fitted(model, steps=150, rate=1e-2):
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    return loss.item()


def test_starts_as_the_network_and_keeps_its_names(model):
    before, scores = copy.deepcopy(model.state_dict()), model.eval()(X)
    names = add_lora(model, rank=2)
    assert len(names) > 4
    torch.testing.assert_close(model.eval()(X), scores, rtol=1e-4, atol=1e-5)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all("lora_" in name for name in after.keys() - before.keys())


def test_only_additions_and_head_learn_and_the_merged_network_is_plain_and_equal(model):
    before = copy.deepcopy(model.state_dict())
    add_lora(model, rank=4)
    learned = lora_state_dict(model)
    assert all("lora_" in name or name.startswith("head.") for name in learned)
    assert sum(each.numel() for each in learned.values()) < sum(each.numel() for each in before.values())
    assert fitted(model) < 0.3
    after = model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert moved == {"head.weight", "head.bias"}
    scores = model.eval()(X)
    merge_lora(model)
    assert set(model.state_dict()) == set(before)
    torch.testing.assert_close(model(X), scores, rtol=1e-3, atol=1e-3)
    assert all(each.requires_grad for each in model.parameters())


def test_linear_equals_the_sum_written_out():
    torch.manual_seed(1)
    plain = nn.Linear(5, 7)
    layer = LoRALinear(plain, rank=3, alpha=6.0)
    nn.init.normal_(layer.lora_up)
    x = torch.randn(2, 4, 5)
    expected = x @ (plain.weight + 2.0 * layer.lora_up @ layer.lora_down).T + plain.bias
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("stride, padding, dilation", [(1, 1, 1), (2, 0, 1), (1, 2, 2)])
def test_convolution_equals_one_with_the_added_weight(stride, padding, dilation):
    torch.manual_seed(1)
    plain = nn.Conv2d(4, 6, 3, stride, padding, dilation)
    layer = LoRAConv2d(plain, rank=2)
    nn.init.normal_(layer.lora_up)
    x = torch.randn(2, 4, 9, 8)
    weight = plain.weight + layer.addition()
    expected = nn.functional.conv2d(x, weight, plain.bias, stride, padding, dilation)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_match_and_learn_choose_the_layers():
    model = MODELS["vit"]()
    names = add_lora(model, match=["qkv"], learn=["head", "norm"])
    assert names == ["blocks.0.qkv", "blocks.1.qkv"]
    assert model.norm.weight.requires_grad and not model.blocks[0].norm1.weight.requires_grad
    wrapped = nn.Sequential(nn.Identity(), MODELS["vit"]())
    assert not any("head" in name for name in add_lora(wrapped))
    with pytest.raises(ValueError, match="nothing"):
        add_lora(MODELS["vit"](), match=["nothing"])


def test_layers_that_their_owner_reads_are_left_alone():
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "head": nn.Linear(8, 2), "mlp": nn.Linear(8, 8)})
    assert add_lora(model) == ["mlp"]


def test_impossible_layers_are_refused():
    with pytest.raises(ValueError, match="rank"):
        LoRALinear(nn.Linear(2, 2), rank=0)
    with pytest.raises(ValueError, match="one group"):
        LoRAConv2d(nn.Conv2d(4, 4, 3, groups=2))


def test_exports_and_round_trips(model):
    add_lora(model, rank=2, dropout=0.5)
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    program = torch.export.export(model.eval(), (X,))
    torch.testing.assert_close(program.module()(X), other.eval()(X), rtol=1e-4, atol=1e-5)
