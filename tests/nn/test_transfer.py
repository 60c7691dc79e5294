"""Freezing, thawing and rates by layer: what is frozen stays to the bit, what learns moves, stage by stage."""

import copy

import pytest
import torch
from torch import nn

from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.resnet import ResNet
from trainwell.models.speednet import SpeedNet
from trainwell.models.vit import VisionTransformer
from trainwell.nn.transfer import freeze, layer_rates, stages, unfreeze

MODELS = {
    "resnet": lambda: ResNet(3, 4, depth=18, width=4),
    "densenet": lambda: DenseNet(3, 4, layers=(1, 2), growth=4),
    "efficientnet": lambda: EfficientNet(3, 4, width=0.25, depth=0.3),
    "vit": lambda: VisionTransformer(3, 4, width=16, depth=3, heads=2, patch=8, side=16),
    "speednet": lambda: SpeedNet(3, 4, widths=(8, 16)),
    "plain": lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)),
}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]()


def learn(model, groups=None, steps=3):
    """A few training steps; returns the names of the entries that changed."""
    before = copy.deepcopy(model.state_dict())
    groups = groups or [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    model.train()
    for seed in range(steps):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(8, 3, 16, 16)), torch.arange(8) % 4).backward()
        optimizer.step()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_stages_are_all_parameters_once_from_stem_to_head(model):
    found = stages(model)
    together = [id(each) for stage in found for each in stage.parameters]
    assert sorted(together) == sorted(id(each) for each in model.parameters())
    names = [stage.name for stage in found]
    assert len(names) >= 3 and names == list(dict.fromkeys(names))
    assert names[-1] in ("head", "4")


def test_stage_names_of_networks_in_lists_and_wrappers():
    wrapped = nn.Sequential(nn.Identity(), MODELS["resnet"]())
    names = ["1.stem", "1.stages.0", "1.stages.1", "1.stages.2", "1.stages.3", "1.head"]
    assert [stage.name for stage in stages(wrapped)] == names
    vit = stages(MODELS["vit"]())
    assert [stage.name for stage in vit] == ["embed", "blocks.0", "blocks.1", "blocks.2", "norm", "head"]
    assert len(vit[0].parameters) == 4  # the projection's two, the class token and the positions


def test_shared_parameters_belong_to_the_earlier_stage():
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    assert [len(stage.parameters) for stage in stages(tied)] == [2, 1]
    assert sum(len(group["params"]) for group in layer_rates(tied, 0.1)) == 3


def test_frozen_but_for_the_head_only_the_head_changes(model):
    names = freeze(model, -1)
    assert len(names) == len(stages(model)) - 1
    changed = learn(model)
    head = stages(model)[-1].name
    assert changed and all(name.startswith(head + ".") for name in changed)


def test_thawed_stage_by_stage_more_changes_and_statistics_follow(model):
    counts = []
    for first in range(len(stages(model)) - 1, -1, -1):
        freeze(model, first)
        counts.append(len(learn(model, steps=1)))
    assert counts == sorted(counts) and counts[-1] > counts[0]
    if any("running_mean" in name for name in model.state_dict()):
        freeze(model, -1)
        unfreeze(model)
        assert any("running_mean" in name for name in learn(model, steps=1))


def test_frozen_batch_norm_normalizes_by_its_own_statistics_in_training():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    model[0].running_mean += 5
    freeze(model, 1)
    x = torch.randn(4, 3, 4, 4)
    torch.testing.assert_close(model.train()[0](x), (x - 5) / (1 + 1e-5) ** 0.5)
    unfreeze(model)
    assert abs(model.train()[0](x).mean()) < 1e-5


def test_norms_may_learn_while_their_stage_is_frozen():
    model = MODELS["resnet"]()
    freeze(model, -1, learn_norms=True)
    changed = learn(model)
    assert "stem.0.1.weight" in changed and "stem.0.1.running_mean" in changed
    assert "stem.0.0.weight" not in changed


def test_scales_that_the_network_holds_stay_held():
    model = MODELS["speednet"]()
    before = {name for name, each in model.named_parameters() if each.requires_grad}
    freeze(model, 2)
    unfreeze(model)
    assert {name for name, each in model.named_parameters() if each.requires_grad} == before


def test_rates_fall_towards_the_stem_and_norms_do_not_decay(model):
    groups = layer_rates(model, 0.1, 0.5, weight_decay=0.01)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates) and rates[-1] == 0.1
    assert min(rates) == pytest.approx(0.1 * 0.5 ** (len(stages(model)) - 1))
    for group in groups:
        assert all((each.ndim > 1) == (group["weight_decay"] > 0) for each in group["params"])
    learned = {id(each) for group in groups for each in group["params"]}
    assert learned == {id(each) for each in model.parameters() if each.requires_grad}
    freeze(model, -1)
    assert {group["lr"] for group in layer_rates(model, 0.1, 0.5)} == {0.1}
    unfreeze(model)
    assert learn(model, layer_rates(model, 0.1))


def test_more_stages_than_there_are_is_refused_with_their_names():
    with pytest.raises(ValueError, match="stem"):
        freeze(MODELS["resnet"](), 7)
