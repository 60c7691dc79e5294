"""Windows and what followed them to the linear map between, in closed form. Hoerl & Kennard 1970."""

import torch
from torch import Tensor

STRENGTHS = (1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5)  # of the decay that are tried
LATEST, AT_ONCE = 0.25, 512  # share of the windows that chooses among them; windows at once


def ridge(past: Tensor, future: Tensor) -> Tensor:
    """One map for all channels that lowers the squared error and, by some strength, the squares of its own weights.

    The latest quarter of the windows, which are in order of time, chooses the strength; then all of them are used.
    Missing future values count as 0. past: (windows, lookback, channels), future: (windows, horizon, channels)
    -> (horizon, lookback)
    """
    cut = len(past) - round(LATEST * len(past))
    first = _products(past[: max(1, cut - future.shape[1])], future[: max(1, cut - future.shape[1])])
    strength = STRENGTHS[2]
    if cut < len(past):
        square, cross = first
        values, vectors = torch.linalg.eigh(square)
        turned = vectors.T @ cross
        late, late_cross = _products(past[cut:], future[cut:])
        errors = []
        for each in STRENGTHS:  # the error on the late windows by their products alone
            weight = vectors @ (turned / (values + each).clamp_min(1e-9)[:, None])
            errors.append(float((weight * (late @ weight)).sum() - 2 * (weight * late_cross).sum()))
        strength = STRENGTHS[min(range(len(errors)), key=errors.__getitem__)]
    square, cross = _products(past, future)
    eye = torch.eye(len(square), dtype=square.dtype, device=square.device)
    return torch.linalg.solve(square + strength * eye, cross).T.to(past.dtype)


def _products(past: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over windows and channels of the past with itself, and with the future."""
    square = past.new_zeros(past.shape[1], past.shape[1], dtype=torch.float64)
    cross = past.new_zeros(past.shape[1], future.shape[1], dtype=torch.float64)
    for x, y in zip(past.split(AT_ONCE), future.split(AT_ONCE), strict=True):
        x, y = (each.nan_to_num().transpose(1, 2).flatten(0, 1) for each in (x, y))
        square += (x.T @ x).double()
        cross += (x.T @ y).double()
    return square, cross
