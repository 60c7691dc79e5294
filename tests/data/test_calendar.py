"""The calendar as circles: closed forms at known moments."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from trainwell.data.calendar import FEATURES, calendar


def test_known_moments():
    monday = datetime(2024, 1, 1)  # a Monday, the first day of its year
    stamps = pl.Series([monday, monday + timedelta(hours=6), monday + timedelta(days=3, hours=12)])
    found = calendar(stamps)
    assert found.shape == (3, FEATURES) and found.dtype == np.float32
    assert np.allclose(found[0], [0, 1, 0, 1, 0, 1], atol=1e-6)
    assert np.allclose(found[1, :2], [1, 0], atol=1e-5)  # a quarter of the day
    assert np.allclose(found[2, 2:4], [0, -1], atol=1e-5)  # the middle of the week
    assert np.allclose(found[2, 4], np.sin(2 * np.pi * 3.5 / 365.25), atol=1e-6)
    assert np.allclose((found.reshape(3, 3, 2) ** 2).sum(2), 1, atol=1e-5)


def test_dates_and_steps_without_dates():
    days = pl.date_range(datetime(2023, 12, 30), datetime(2024, 1, 2), "1d", eager=True)
    found = calendar(days)
    assert np.allclose(found[:, :2], [0, 1], atol=1e-6) and found[1, 5] > 0.99 and found[2, 4] == 0
    assert not calendar(pl.Series([1, 2, 3])).any()
