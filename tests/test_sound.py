"""tw.fit on sounds: the folder as it lies, own networks, prediction, the page, and sounds that cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

import trainwell as tw
from trainwell.data import read
from trainwell.errors import InputError
from trainwell.predict import prediction_frame

QUICK = ["model.widths=[8,16]", "model.width=16", "train.epochs=8", "model.masks=1"]


def clips(folder: Path, takes: int = 10) -> Path:
    """Low and high tones of two speakers, in noise."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for label, hertz in (("high", 1500), ("low", 400)):
        for place, speaker in enumerate(("ann", "bob", "cid")):
            for take in range(takes):
                at = np.arange(1200 + 80 * take) / 8000
                sound = np.sin(2 * np.pi * (hertz * (1 + 0.1 * place)) * at) + 0.1 * random.normal(size=len(at))
                values = np.rint(sound * 8000).astype(np.int16)
                wavfile.write(folder / f"{label}_{speaker}_{take}.wav", 8000, values)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("sound")
    return tw.fit(clips(folder / "clips"), changes=QUICK, out=folder / "run", quiet=True)


def test_a_folder_of_sounds_is_learned(run: tw.Run):
    assert run.recipe.model["name"] == "crnn" and run.metrics["accuracy"] > 0.9
    baselines = json.loads((run.path / "baselines.json").read_text())
    assert [each["kind"] for each in baselines] == ["constant", "linear"]
    evaluation = json.loads((run.path / "evaluation.json").read_text())
    shown = evaluation["examples"]["confident"][0]
    assert shown["picture"] and shown["values"]["speaker"] in ("ann", "bob", "cid")
    page = run.report.read_text()
    assert "held-out sounds" in page and "data:image/png;base64," in page


def test_it_loads_and_answers_for_folders_and_for_one_file(run: tw.Run):
    again, source = tw.load(run.path), run.recipe.source
    assert np.allclose(again.predict_proba(source), run.predict_proba(source), atol=1e-6)
    one = Path(source) / "low_ann_3.wav"
    assert again.predict(str(one)).tolist() == ["low"]
    row = sorted(path.name for path in Path(source).iterdir()).index(one.name)
    assert np.allclose(again.predict_proba(str(one))[0], again.predict_proba(source)[row], atol=1e-5)
    assert again.evaluate(source)["metrics"]["accuracy"]["value"] > 0.9


def test_a_sound_that_cannot_be_read_has_no_answer(run: tw.Run, tmp_path: Path):
    folder = clips(tmp_path / "clips", takes=2)
    (folder / "low_ann_1.wav").write_bytes(b"RIFF")
    frame = prediction_frame(tw.load(run.path), folder)
    assert frame["file"].to_list() == read(folder).frame["audio"].to_list()
    assert frame.height == 12 and frame["prediction"].null_count() == 1
    with pytest.raises(InputError, match="none of 1 sounds could be read"):
        run.predict(str(folder / "low_ann_1.wav"))


def test_speakers_stay_on_one_side(tmp_path: Path):
    folder = clips(tmp_path / "clips", takes=4)
    run = tw.fit(folder, group="speaker", changes=[*QUICK, "train.epochs=1", "split.test=0.3", "split.val=0.3"],
                 out=tmp_path / "run", quiet=True, details=False)  # fmt: skip
    summary = json.loads((run.path / "summary.json").read_text())
    assert summary["rows"] == {"train": 8, "val": 8, "test": 8} and "speaker" in summary["split"]


class Loudness(torch.nn.Module):
    """A user's own network on waves alone."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        crossings = (x[:, 1:] * x[:, :-1] < 0).float().sum(1, keepdim=True) / 500
        return self.linear(torch.cat((crossings, x.square().mean(1, keepdim=True)), 1))


def test_an_own_network_hears_waves(tmp_path: Path):
    run = tw.fit(clips(tmp_path / "clips", takes=4), model=Loudness(), changes=["train.epochs=30"],
                 out=tmp_path / "run", quiet=True, details=False)  # fmt: skip
    assert run.transform.layout == "sound" and len(run.predict(run.recipe.source)) == 24


def test_a_resumed_training_is_one_uninterrupted(tmp_path: Path):
    folder = clips(tmp_path / "clips", takes=4)
    whole = tw.fit(folder, changes=[*QUICK, "train.epochs=2"], out=tmp_path / "whole", quiet=True, details=False)
    again = tw.fit(folder, resume=whole.path, quiet=True, details=False)
    assert np.array_equal(again.predict_proba(folder), whole.predict_proba(folder))
