"""Gaussian: likelihood in scaled units and in the target's own against torch.distributions, and what beta does."""

import pytest
import torch
from spread_tasks import TARGET, outputs, task
from test_classify import Fixed, batch
from torch.distributions import AffineTransform, ExpTransform, Normal, TransformedDistribution
from torch.nn.functional import softplus

from trainwell.tasks.gaussian import ONE
from trainwell.tasks.task import divide


def parts(given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, raw = given.view(*given.shape[:-1], -1, 2).unbind(-1)
    return mean, softplus(raw + ONE) + 0.01


def test_with_beta_0_the_loss_is_the_likelihood() -> None:
    made = task("gaussian", beta=0.0)
    given = outputs(made, 10)
    expected = -Normal(*parts(given)).log_prob(TARGET).mean()
    torch.testing.assert_close(divide(made.loss(Fixed(given), batch(TARGET), "model")), expected)
    given.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: made.cost(x, TARGET), given)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_beta_weighs_gradients_by_the_variance(beta: float) -> None:
    """(mean - truth) / variance is the likelihood's gradient; with beta 1 that of half the squared error is left."""
    made = task("gaussian", targets=1, beta=beta)
    given = outputs(made, 10).requires_grad_()
    mean, deviation = parts(given.detach())
    made.cost(given, TARGET[:, :1]).sum().backward()
    expected = (mean - TARGET[:, :1]) * deviation ** (2 * beta - 2)
    torch.testing.assert_close(given.grad[:, :1], expected)


def test_likelihood_is_told_of_the_number_itself() -> None:
    """The density of the number in its unit, of the logarithmic one too, and of members their mean."""
    made = task("gaussian")
    given = outputs(made, 10, 3)
    mean, deviation = parts(given)
    densities = []
    for place, (center, scale, log) in enumerate(((5.0, 2.0, False), (1.0, 0.5, True))):
        steps = [AffineTransform(center, scale), *([ExpTransform(), AffineTransform(-1.0, 1.0)] if log else [])]
        truth = made.unscale(TARGET)[:, place, None]
        each = TransformedDistribution(Normal(mean[..., place], deviation[..., place]), steps).log_prob(truth)
        densities.append(each.exp().mean(1).log())
    found = made.predict(Fixed(given), batch(TARGET))
    torch.testing.assert_close(found["nll"], -torch.stack(densities).mean(0))
    torch.testing.assert_close(found["number"], made.unscale(mean.mean(1)))


def test_no_width_falls_to_nothing() -> None:
    made = task("gaussian", targets=1, least=0.05)
    given = torch.tensor([[0.0, -1e4]], dtype=torch.float64)
    found = made.predict(Fixed(given), batch(torch.zeros(1, 1, dtype=torch.float64)))
    assert made.unpack(found["parts"]).deviation.item() == pytest.approx(0.05)
    for least in (0.0, -1.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            task("gaussian", least=least)
    with pytest.raises(ValueError, match="power from 0 to 1"):
        task("gaussian", beta=1.5)
