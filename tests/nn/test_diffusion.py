"""Paths from data to noise by their formulas."""

import math

import pytest
import torch

from trainwell.nn.diffusion import PATHS, PREDICTIONS, Cosine, Flow, Linear, mix, separate, taught


def test_linear_path_has_the_marginals_of_ddpm():
    path, betas = Linear(1000), torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = 1.0
    for step in range(1, 301):
        kept *= 1 - betas[step - 1].item()
    time = torch.tensor([0.0, 0.3, 1.0])
    torch.testing.assert_close(path.signal(time)[1].item(), math.sqrt(kept), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(path.spread(time)[1].item(), math.sqrt(1 - kept), atol=1e-6, rtol=1e-6)
    assert path.signal(time)[0] == 1 and path.spread(time)[0] == 0
    assert path.signal(time)[2] == pytest.approx(math.sqrt(4.035830e-05), rel=1e-3)
    steps = path.times(torch.tensor([0.0, 0.5, 0.99999])) * 1000
    assert steps.tolist() == [1, 501, 1000]  # step 0 is the data and teaches nothing


@pytest.mark.parametrize("name", PATHS)
def test_paths_run_from_data_to_noise(name):
    path, time = PATHS[name](), torch.linspace(0, 1, 101)
    signal, spread = path.signal(time), path.spread(time)
    assert signal[0] == 1 and spread[0] == pytest.approx(0, abs=1e-3)
    assert (signal.diff() <= 0).all() and (spread.diff() >= 0).all()
    assert signal[-1] < 0.01 and spread[-1] > 0.999
    grid = path.grid(7)
    assert len(grid) == 8 and grid[0] == 1 and grid[-1] == 0 and (grid.diff() < 0).all()
    times = path.times(torch.rand(1000))
    assert times.min() > 0 and times.max() <= 1
    if name != "flow":
        torch.testing.assert_close(signal.square() + spread.square(), torch.ones(101))


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_what_is_taught_separates_what_was_mixed(name, prediction):
    torch.manual_seed(0)
    path, time = PATHS[name](), torch.tensor([0.1, 0.5, 0.8])
    data, noise = torch.randn(2, 3, 2, 4, 4).double()
    mixed = mix(path, data, noise, time)
    answer = taught(path, prediction, data, noise, time)
    found = separate(path, prediction, mixed, answer, time)
    torch.testing.assert_close(found[0], data, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], noise, atol=1e-5, rtol=1e-5)


def test_velocity_is_the_direction_of_the_path():
    data, noise, time = torch.randn(4, 3), torch.randn(4, 3), torch.full((4,), 0.4)
    torch.testing.assert_close(taught(Flow(), "velocity", data, noise, time), noise - data)
    path = Cosine()
    expected = path.signal(time)[:, None] * noise - path.spread(time)[:, None] * data
    torch.testing.assert_close(taught(path, "velocity", data, noise, time), expected)


def test_flow_times_follow_the_logistic_normal():
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    logits = Flow(center=-1.0, deviation=1.5).times(uniform).logit()
    assert logits.mean().item() == pytest.approx(-1.0, abs=0.01)
    assert logits.std().item() == pytest.approx(1.5, abs=0.01)
    assert torch.equal(Flow(deviation=0.0).times(uniform), uniform)


def test_an_unknown_prediction_is_named():
    with pytest.raises(ValueError, match=r"no prediction 'score'.*velocity"):
        taught(Flow(), "score", torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1))
