"""tw.fit on sounds beside what is said in them: learned by CTC, answered, judged, refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.io import wavfile

import trainwell as tw
from trainwell.data import as_speech, read
from trainwell.errors import InputError
from trainwell.predict import prediction_frame

TONES = {"a": 300, "b": 700, "c": 1400, "d": 2600}


def spoken(folder: Path, rows: int = 140) -> Path:
    """Strings of tones, each letter one, in a table beside the folder of their sounds."""
    random = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True)
    names, texts = [], []
    for row in range(rows):
        text = "".join(random.choice(list(TONES), random.integers(2, 5)))
        pieces = []
        for letter in text:
            at = np.arange(random.integers(700, 1000)) / 8000
            pieces += [np.sin(2 * np.pi * TONES[letter] * at), np.zeros(random.integers(200, 400))]
        sound = np.concatenate(pieces) * 8000 + 100 * random.normal(size=sum(map(len, pieces)))
        names.append(f"{row}.wav")
        texts.append(text)
        wavfile.write(folder / "clips" / names[-1], 8000, np.rint(sound).astype(np.int16))
    pl.DataFrame({"file": names, "text": texts}).write_csv(folder / "spoken.csv")
    return folder / "spoken.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("speech")
    changes = ["model.widths=[8,16]", "model.width=24", "model.bands=20", "model.masks=0", "train.epochs=24",
               "optimizer.lr=0.01", "augment=[]", "task.beams=3", "train.evaluations=4"]  # fmt: skip
    return tw.fit(spoken(folder / "data"), changes=changes, out=folder / "run", quiet=True)


def test_what_is_said_is_heard(run: tw.Run):
    assert run.schema.task == "recognize" and run.recipe.model["name"] == "speech_crnn"
    baselines = json.loads((run.path / "baselines.json").read_text())
    assert run.metrics["character_error"] < 0.25 < baselines[0]["metrics"]["character_error"]
    page = run.report.read_text()
    assert "Of all characters said in" in page and "heard" in page


def test_it_loads_and_answers(run: tw.Run):
    again, source = tw.load(run.path), run.recipe.source
    frame = prediction_frame(again, source)
    assert frame.height == 140 and frame["prediction"].to_list() == run.predict(source).tolist()
    truth = pl.read_csv(source)["text"].to_list()
    assert np.mean([said == right for said, right in zip(frame["prediction"], truth, strict=True)]) > 0.4
    one = Path(source).parent / "clips" / "3.wav"
    renamed = pl.DataFrame({"file": [str(one)], "text": [""]})
    renamed.write_csv(Path(source).parent / "one.csv")
    assert prediction_frame(again, str(Path(source).parent / "one.csv"))["prediction"][0] == frame["prediction"][3]
    assert again.evaluate(source)["metrics"]["character_error"]["value"] < 0.3


def test_rows_without_sound_or_text_are_left_out(tmp_path: Path):
    path = spoken(tmp_path / "data", rows=30)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], "gone.wav,ab", lines[-1].split(",")[0] + ","]) + "\n")
    source, schema = as_speech(read(path), "text")
    assert source.rows == 28 and schema.task == "recognize" and any("2 rows without" in note for note in source.notes)


def test_tables_that_hold_no_speech(tmp_path: Path):
    with pytest.raises(InputError, match="no column of sounds"):
        as_speech(read(pl.DataFrame({"a": ["x", "y"] * 10, "text": ["p q"] * 20})))
    path = spoken(tmp_path / "data", rows=30)
    with pytest.raises(InputError, match="Name it with --target"):
        as_speech(read(path), "words")
