"""Inputs as a loop hands them over to numbers that a network can take: standardized, and nothing missing."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.remedy import Chart
from trainwell.doctor.sample import Sample
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.units import scale_answers

FEW = 5  # rows without a value in a column, from which on their answers may say what it was
SURE = 2.5  # standard errors that those answers have to lie from all others'
FAR_FROM_ONE, NEAR_ONE = 10.0, 3.0  # root mean squares
FURTHEST = 4.0  # deviations from the mean that a value may be put at


def standardize_inputs(chart: Chart, finding: Finding) -> str | None:
    """A hook in front of the model that subtracts the training rows' mean and divides by their deviation."""
    if chart.own_loop or chart.sample is None or len(chart.patient.players) > 1:
        return None  # players are given their rows one by one
    scalers: dict[int, tuple[Tensor, ...]] = {}
    for place, matrix in chart.sample.numbers():
        values = torch.as_tensor(matrix)
        values = torch.where(values.isfinite(), values, torch.nan)
        middle = values.nanmedian(0).values
        spread = 1.4826 * (values - middle).abs().nanmedian(0).values
        far = (values - middle).abs() > THRESHOLDS.outlier * spread
        values = torch.where(far & (spread > 0), torch.nan, values)  # they would swell what all others are divided by
        center = values.nanmean(0).nan_to_num()
        deviation = (values - center).square().nanmean(0).sqrt()
        deviation = torch.where(deviation > 1e-6 * deviation.max() + 1e-12, deviation, torch.ones_like(deviation))
        original = chart.sample.inputs[place]
        shape = (1, -1, *[1] * (original.dim() - 2)) if original.dim() >= 4 else (-1,)
        missing = _told_by_answers(matrix, ((values - center) / deviation).numpy(), chart.sample)
        scalers[place] = tuple(each.reshape(shape).to(original) for each in (center, deviation, missing))

    def scaled(each: Tensor, center: Tensor, deviation: Tensor, missing: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and _standardized(each, center, deviation):
            return each
        # An infinite value, as of a division by zero, still tells its side.
        each = torch.where(each.isnan(), missing, (each - center) / deviation)
        each = each.nan_to_num(0.0, THRESHOLDS.far, -THRESHOLDS.far)
        return torch.where(each.abs() > THRESHOLDS.outlier, 0.0, each).clamp(-20, 20)

    def scale(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            scaled(each, *scalers[place])
            if place in scalers and isinstance(each, Tensor) and each.is_floating_point()
            else each
            for place, each in enumerate(inputs)
        )

    chart.patient.bare.register_forward_pre_hook(scale)
    words = "inputs standardized by a hook in front of the model: put the same into your data's transform to keep it"
    answers = scale_answers(chart, finding)  # which are in the same raw units where a series is asked to go on
    return f"{words}; {answers}" if answers else words


def _standardized(rows: Tensor, center: Tensor, deviation: Tensor) -> bool:
    """Whether rows that are not learned from are near a deviation of 1 already, where the training rows are far from
    it: a transform that was forgotten for training alone."""
    raw, size = float((center.square() + deviation.square()).mean().sqrt()), float(rows.square().mean().sqrt())
    return raw > FAR_FROM_ONE and 1 / NEAR_ONE < size < NEAR_ONE


def impute_inputs(chart: Chart, finding: Finding) -> str | None:
    """The standardizing hook, where inputs are what is not finite: it puts the mean in their place, or at first 0."""
    if finding.statistic.get("origin") != "input":
        return None
    if chart.own_loop or chart.sample is not None:
        return standardize_inputs(chart, finding)

    def blank(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            each.nan_to_num(0.0, 0.0, 0.0) if isinstance(each, Tensor) and each.is_floating_point() else each
            for each in inputs
        )

    chart.patient.bare.register_forward_pre_hook(blank)
    return "input values that are not finite replaced by 0 in front of the model"


def _told_by_answers(matrix: np.ndarray, values: np.ndarray, sample: Sample) -> Tensor:
    """For each column what to put where a number is missing, in deviations from the mean: 0, or where the answers of
    such rows are others than chance would give, the value whose rows have such answers by a straight line.

    Values are seldom missing by chance (Rubin 1976): a meter that stops at 50 leaves out the largest.
    """
    put = torch.zeros(values.shape[1], dtype=torch.float64)
    answers = _answers(sample)
    if answers is None or len(answers) != len(values):
        return put
    for column, numbers in enumerate(values.T):
        gone, there = np.isnan(matrix[:, column]), np.isfinite(numbers)
        if gone.sum() < FEW or there.sum() < 10 * FEW:
            continue
        usual, middle = answers[there].mean(0), numbers[there].mean()
        x = numbers[there] - middle
        slope = x @ (answers[there] - usual) / max(float(x @ x), 1e-12)
        apart = answers[gone].mean(0) - usual
        error = answers[there].std(0) / gone.sum() ** 0.5 + 1e-12
        steep = np.abs(slope) * x.std() > SURE * answers[there].std(0) / there.sum() ** 0.5
        if (np.abs(apart) > SURE * error).any() and steep.any():
            put[column] = float(np.clip(middle + slope @ apart / (slope @ slope), -FURTHEST, FURTHEST))
    return put


def _answers(sample: Sample) -> np.ndarray | None:
    """(rows, answers) in floating point, classes as one column each."""
    labels, target = sample.labels, sample.target
    if labels is not None:
        return np.eye(int(labels.max()) + 1)[labels] if labels.min() >= 0 and labels.max() < 100 else None
    if target is None or not target.is_floating_point() or target.dim() not in (1, 2):
        return None
    answers = target.detach().cpu().double().reshape(len(target), -1).numpy()
    return answers if np.isfinite(answers).all() else None
