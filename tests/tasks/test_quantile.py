"""Quantile: the pinball loss against scikit-learn, quantiles that cannot cross, and what they converge to."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from spread_tasks import TARGET, outputs, task
from test_classify import Fixed, batch

from trainwell.tasks.task import divide

QUANTILES = [0.1, 0.3, 0.5, 0.95]


def test_the_loss_is_scikit_learns_pinball_loss() -> None:
    made = task("quantile", quantiles=QUANTILES)
    given_ = outputs(made, 10)
    quantiles = made.rising(given_.view(10, 2, 4)).numpy()
    each = [
        mean_pinball_loss(TARGET.numpy(), quantiles[..., place], alpha=share) for place, share in enumerate(QUANTILES)
    ]
    found = divide(made.loss(Fixed(given_), batch(TARGET), "model"))
    assert np.isclose(found.item(), np.mean(each))
    given_.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: made.cost(x, TARGET), given_)


@given(st.integers(0, 1000), st.sampled_from([1.0, 30.0, 1e3]))
def test_quantiles_do_not_cross(seed: int, size: float) -> None:
    made = task("quantile")
    rising = made.rising(outputs(made, 10, seed=seed).view(10, 2, 7) * size)
    assert (rising.diff(dim=-1) >= 0).all()


def test_the_answer_is_the_median_and_quantiles_are_those_asked_for() -> None:
    made = task("quantile", targets=1, quantiles=QUANTILES)
    given_ = outputs(made, 10)
    found = made.predict(Fixed(given_), batch(TARGET[:, :1]))
    torch.testing.assert_close(found["quantiles"][..., 0], made.unscale(made.rising(given_)[..., None])[..., 0])
    torch.testing.assert_close(found["number"], found["quantiles"][:, 2])


def test_learned_quantiles_are_those_of_the_numbers() -> None:
    made = task("quantile", targets=1, quantiles=QUANTILES)
    numbers = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).exp()
    free = torch.zeros(1, made.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([free], 0.03)
    for _ in range(400):
        optimizer.zero_grad()
        made.cost(free.expand(2000, -1), numbers).mean().backward()
        optimizer.step()
    expected = torch.quantile(numbers[:, 0], torch.tensor(QUANTILES))
    torch.testing.assert_close(made.rising(free.detach())[0], expected, rtol=0.05, atol=0.05)
