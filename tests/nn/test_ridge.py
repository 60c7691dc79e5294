"""Ridge regression in closed form against scikit-learn's, its strength chosen by the latest windows."""

import numpy as np
import torch
from sklearn.linear_model import Ridge

from trainwell.nn.ridge import STRENGTHS, ridge


def test_the_map_is_scikit_learns_at_the_strength_that_the_latest_windows_choose():
    random = torch.Generator().manual_seed(0)
    past = torch.randn(200, 12, 3, generator=random)
    truth = torch.randn(4, 12, generator=random)
    future = (truth @ past) + 40.0 * torch.randn(200, 4, 3, generator=random)
    found = ridge(past, future).numpy()
    x, y = (each.transpose(1, 2).flatten(0, 1).numpy() for each in (past, future))
    fitted = {each: Ridge(each, fit_intercept=False, solver="cholesky") for each in STRENGTHS}
    errors = {}
    for each, model in fitted.items():
        model.fit(x[: 3 * 146], y[: 3 * 146])  # 150 windows less a horizon
        errors[each] = ((model.predict(x[3 * 150 :]) - y[3 * 150 :]) ** 2).mean()
    best = min(errors, key=errors.__getitem__)
    assert best not in (STRENGTHS[0], STRENGTHS[-1])  # the choice is put to the test
    assert np.allclose(found, fitted[best].fit(x, y).coef_, atol=1e-4)
