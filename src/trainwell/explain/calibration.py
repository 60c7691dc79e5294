"""Probabilities on rows with known classes to the temperature that makes them keep their word. Guo et al. 2017.

arXiv:1706.04599
"""

from typing import Any

import numpy as np

HOTTEST = 10.0  # temperature beyond which nothing is left to calibrate; its inverse is the coldest
FEWEST = 50  # rows below which a temperature would be chance
LEAST = 1e-12


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities to the power of one over the temperature, summing to one again: (rows, classes) -> the same."""
    logs = np.log(np.maximum(probability.astype(np.float64), LEAST)) / temperature
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def log_losses(probability: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Minus the log probability of each row's class, in nats: (rows, classes), (rows,) -> (rows,)."""
    right = np.take_along_axis(probability, target[:, None].astype(np.int64), 1)[:, 0]
    return -np.log(np.maximum(right, LEAST))


def best_temperature(probability: np.ndarray, target: np.ndarray) -> float:
    """The temperature with the least log loss, or 1 where it gains less than the rows can tell.

    probability: (rows, classes) at temperature 1, target: (rows,) class codes
    """
    from scipy.optimize import minimize_scalar

    if len(target) < FEWEST or not np.isfinite(probability).all():
        return 1.0
    span = float(np.log(HOTTEST))
    found = minimize_scalar(
        lambda log: log_losses(tempered(probability, float(np.exp(log))), target).mean(),
        bounds=(-span, span),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    gain = log_losses(tempered(probability, 1.0), target) - log_losses(tempered(probability, temperature), target)
    return temperature if gain.mean() > 2 * gain.std() / len(gain) ** 0.5 else 1.0


def before_tempering(probability: np.ndarray, target: np.ndarray, temperature: float) -> dict[str, Any]:
    """The temperature, and the log loss and mean confidence that the same answers had without it."""
    raw = tempered(probability, 1 / temperature)
    return {
        "value": temperature,
        "log_loss_before": float(log_losses(raw, target).mean()),
        "confidence_before": raw.max(1),
    }
