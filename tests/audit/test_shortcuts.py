"""What tells a class or a part besides what it shows is found, and classes that differ by nature are left alone."""

import wave

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.audit import audit
from trainwell.audit.shortcuts import HUM, MAINS, burnt_class, exchanged_colors, hum_of
from trainwell.audit.view import View
from trainwell.data import infer, read
from trainwell.prepare import prepare

CHANCE = np.random.default_rng


def view_of(labels: np.ndarray, parts: np.ndarray | None = None) -> View:
    """A source with these labels; what the pictures show comes beside it."""
    source = read(pl.DataFrame({"x": CHANCE(0).normal(0, 1, len(labels)), "y": [f"kind{each}" for each in labels]}))
    source.parts = parts
    return View(source, infer(source, target="y"))


def scenes(labels: np.ndarray, seed: int = 1) -> np.ndarray:
    """Colored noise, the second class lighter and redder, the third bluer, as scenes are: (rows, 12, 12, 3)."""
    chance = CHANCE(seed)
    tint = np.array([[0, 0, 0], [45, 20, 5], [-5, 0, 30]])[labels]
    light = chance.normal(110, 18, (len(labels), 1)) + tint + chance.normal(0, 8, (len(labels), 3))
    return np.clip(light[:, None, None] + chance.normal(0, 35, (len(labels), 12, 12, 3)), 0, 255).astype(np.int16)


LABELS = np.arange(180) % 3


@pytest.mark.parametrize(("kind", "factor", "found"), [(1, 1.0, 0), (1, 2.0, 1), (0, 2.2, 1), (2, 0.5, 0)])
def test_one_class_brighter(kind, factor, found):
    pixels = scenes(LABELS)
    soiled = np.where((kind == LABELS)[:, None, None, None], np.clip(pixels * factor, 0, 255), pixels)
    told = burnt_class(view_of(LABELS), soiled, LABELS)
    assert len(told) == found
    assert all(f"'kind{kind}'" in each.evidence for each in told)


def test_all_classes_burnt_are_no_shortcut():
    assert burnt_class(view_of(LABELS), np.clip(scenes(LABELS) * 2.2, 0, 255), LABELS) == []


@pytest.mark.parametrize("change", ["none", "exchanged", "bluer"])
def test_red_for_blue(change):
    parts = np.where(CHANCE(2).random(180) < 0.35, "test", "train")
    pixels = scenes(LABELS)
    theirs = parts == "test"
    if change == "exchanged":
        pixels[theirs] = pixels[theirs][..., ::-1]
    elif change == "bluer":  # another light is no exchange
        pixels[theirs] = np.clip(pixels[theirs] + np.array([-20, 0, 20]), 0, 255)
    told = exchanged_colors(view_of(LABELS, parts), pixels, list(range(180)))
    assert [each.name for each in told] == (["preprocessing-mismatch"] if change == "exchanged" else [])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500))
def test_parts_drawn_by_chance_have_the_same_colors(seed):
    parts = np.where(CHANCE(seed).random(180) < 0.4, "test", "train")
    assert exchanged_colors(view_of(LABELS, parts), scenes(LABELS, seed + 1), list(range(180))) == []


@pytest.mark.parametrize("rate", [8000, 44100])
def test_hum_is_told_from_tones_and_noise(rate):
    time = np.arange(rate // 2) / rate
    noise = CHANCE(3).normal(0, 0.01, len(time))
    for place, mains in enumerate(MAINS):
        assert hum_of(noise + 0.1 * np.sin(2 * np.pi * mains * time), rate)[place] > HUM
    assert max(hum_of(noise, rate)) < HUM
    assert max(hum_of(noise + 0.5 * np.sin(2 * np.pi * 440 * time), rate)) < HUM
    assert max(hum_of(np.zeros(len(time)), rate)) == 0.0


@pytest.mark.parametrize("humming", ["none", "one", "all"])
def test_hum_in_one_class(tmp_path, humming):
    time = np.arange(4000) / 8000
    for place in range(60):
        label = place % 2
        sound = 3000 * np.sin(2 * np.pi * (300 + 400 * label) * time) + CHANCE(place).normal(0, 300, len(time))
        if humming == "all" or (humming == "one" and label):
            sound += 1500 * np.sin(2 * np.pi * 50 * time)
        path = tmp_path / f"tone{label}" / f"{place}.wav"
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(np.clip(sound, -32768, 32767).astype(np.int16).tobytes())
    data, schema, _ = prepare(str(tmp_path))
    assert [each.name for each in audit(data, schema)] == (["data-leakage"] if humming == "one" else [])
