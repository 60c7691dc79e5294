"""Times, classes and waves to vectors."""

import math

import torch

from trainwell.nn.time import NONE, Condition, time_features
from trainwell.nn.waves import Waves


def test_times_near_and_far_are_told_apart():
    time = torch.linspace(0, 1, 50)
    features = time_features(time, 32)
    assert features.shape == (50, 32)
    distance = torch.cdist(features, features) + 10 * torch.eye(50)
    assert distance.min() > 0.5


def test_no_class_is_a_class_of_its_own():
    condition, time = Condition(16, 3), torch.rand(4)
    none = condition(time, torch.full((4,), NONE))
    assert torch.equal(condition(time), none)
    for label in range(3):
        assert not torch.allclose(condition(time, torch.full((4,), label)), none)
    assert Condition(16, 0)(time).shape == (4, 16)


def test_waves_are_sines_and_cosines():
    waves = Waves(2, (0.5, 2.0))
    x = torch.tensor([[0.25, -1.0]])
    found = waves(x)
    assert found.shape == (1, waves.outputs) == (1, 10)
    torch.testing.assert_close(found[0, :2], x[0])
    torch.testing.assert_close(found[0, 2].item(), math.sin(2 * math.pi * 0.5 * 0.25))
    torch.testing.assert_close(found[0, 6 + 1].item(), math.cos(2 * math.pi * 2 * 0.25), atol=1e-6, rtol=0)
    assert torch.equal(Waves(2, ())(x), x)
