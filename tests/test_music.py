"""Tunes in ABC notation, learned as a language and written anew."""

from pathlib import Path

import numpy as np
import pytest

import trainwell as tw
from trainwell.data import as_language, read
from trainwell.errors import InputError
from trainwell.explain.language import continued

SCALE = "CDEFGABc"


def tunes(path: Path, count: int = 60) -> Path:
    random = np.random.default_rng(0)
    made = []
    for number in range(1, count + 1):
        place, bars = 0, []
        for _ in range(6):
            steps = random.integers(-1, 2, 4)
            notes = ""
            for step in steps:
                place = int(np.clip(place + step, 0, 7))
                notes += SCALE[place]
            bars.append(notes)
        made.append(f"X:{number}\nT:Tune\nM:4/4\nK:C\n{'|'.join(bars[:3])}|\n{'|'.join(bars[3:])}|]\n")
    path.write_text("\n".join(made))
    return path


def test_each_tune_is_an_example(tmp_path: Path):
    source = read(tunes(tmp_path / "tunes.abc"))
    assert source.rows == 60 and source.frame["text"][1].startswith("X:2\nT:Tune")
    pieces, schema = as_language(source)
    assert schema.task == "language" and pieces.hints["language"]["listed"] and pieces.rows == 60


def test_what_is_no_music_is_refused(tmp_path: Path):
    (tmp_path / "words.abc").write_text("only words\n")
    with pytest.raises(InputError, match="no tune in ABC notation"):
        read(tmp_path / "words.abc")


def test_tunes_are_learned_and_written(tmp_path: Path):
    changes = ["model.width=32", "model.depth=1", "model.context=32", "train.epochs=6"]
    run = tw.fit(tunes(tmp_path / "tunes.abc"), changes=changes, out=tmp_path / "run", quiet=True, details=False)
    assert run.schema.task == "language"
    written = "".join(continued(tw.load(run.path).model, run.transform, "X:", length=60, seed=1))
    assert set(written) <= set("X:0123456789\nT:TuneM/K|]" + SCALE) and "\n" in written
