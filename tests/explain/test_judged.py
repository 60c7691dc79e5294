"""Draws judged by a classifier and by a TorchScript network: closed forms, planted draws, what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import trainwell as tw
from trainwell import cli
from trainwell.data import read
from trainwell.errors import InputError
from trainwell.explain.generation import Features, frechet_distance
from trainwell.explain.judged import ClassifierJudge, Pictures, judged
from trainwell.load import held_out

QUICK = ["train.epochs=2", "train.precision=float32"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return (found.images * 15).astype(np.uint8), found.target.astype(str)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    changes = ["train.epochs=8", "train.precision=float32"]
    return tw.fit(digits(), changes=changes, out=tmp_path_factory.mktemp("digits") / "run", quiet=True, details=False)


@pytest.fixture(scope="module")
def artist(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    changes = [*QUICK, "model.maps=8"]
    return tw.fit(digits(), task="gan", changes=changes, out=tmp_path_factory.mktemp("gan") / "run", quiet=True)


class Means(nn.Module):
    """A stand-in for Inception: bytes in three colours to the means of their halves, twice."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert x.shape[1] == 3
        x = x.double().flatten(1)
        return torch.stack([x[:, ::2].mean(1), x[:, 1::2].mean(1)], 1)


class Mirror:
    """A judge of made-up pictures whose pixels are its features, and whose class is that of the first pixel."""

    name, sha256, classes = "mirror", "0" * 64, ["dark", "light"]

    def see(self, pictures: np.ndarray) -> Features:
        x = pictures.reshape(len(pictures), -1).astype(float)
        return Features(x, np.eye(2)[(x[:, 0] > 127).astype(int)])


def noise(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, 1, 2, 2), dtype=np.uint8)


def test_draws_are_compared_with_as_many_real_ones_and_copies_are_told() -> None:
    real, known = noise(300, 0), noise(3000, 1)
    names = [Mirror.classes[int(each > 127)] for each in real[:, 0, 0, 0]]
    found = judged(Mirror(), Pictures(known[:300], real, known, ["dark"] * 300, names))
    value = {key: each["value"] for key, each in found["metrics"].items()}
    assert value["copies"] == 1, "each of these draws is a training picture"
    assert value["frechet_distance"] == pytest.approx(found["least_distance"])
    assert found["judge"]["right"] == 1 and value["sure"] == 1
    assert value["as_asked"] == pytest.approx(found["shares"]["dark"]) and 0.4 < value["as_asked"] < 0.6
    fresh = judged(Mirror(), Pictures(noise(300, 2), real, known, None, None))
    assert fresh["metrics"]["copies"]["value"] < 0.15 and "as_asked" not in fresh["metrics"]
    dark = judged(Mirror(), Pictures(real // 4, real, None, None, None))["metrics"]
    assert dark["frechet_distance"]["value"] > 50 * value["frechet_distance"] and dark["recall"]["value"] < 0.5


def test_a_classifier_sees_pictures_as_it_learned_them(classifier: tw.Run) -> None:
    x, _ = digits()
    seen = ClassifierJudge("digits", classifier.model, classifier.transform, classifier.schema).see(x[:600, None])
    assert np.array_equal(np.array(classifier.classes)[seen.probability.argmax(1)], classifier.predict(x[:600]))
    larger = np.kron(x[:50, None], np.ones((2, 2), np.uint8))
    again = ClassifierJudge("digits", classifier.model, classifier.transform, classifier.schema).see(larger)
    assert again.features.shape == seen.features[:50].shape, "another size is brought to its own"


def test_a_run_is_judged_and_the_page_says_so(
    artist: tw.Run,
    classifier: tw.Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    x, target = digits()
    found = artist.scores((x, target), classifier, 400)
    assert found["rows"] == 400 and sum(found["shares"].values()) == pytest.approx(1)
    assert found["judge"]["right"] > 0.8, "the names of the real ones are those of their rows"
    assert found["metrics"]["sure"]["value"] < found["judge"]["sure_of_real"]
    assert artist.folder.read_json("scores.json") == found
    np.savez(tmp_path / "digits.npz", image=x, target=target)
    words = ["evaluate", artist.path, tmp_path / "digits.npz", "--judge", classifier.path, "--n", "150"]
    monkeypatch.setattr(sys, "argv", ["trainwell", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
        raise SystemExit(0)
    assert not end.value.code and "frechet_distance" in capsys.readouterr().out
    saved = artist.folder.read_json("scores.json")
    page = artist.report.read_text()
    assert saved["rows"] == 150 and "As a judge sees it" in page and saved["judge"]["sha256"][:12] in page


def test_a_network_in_torchscript_gives_the_distance_of_its_features(artist: tw.Run, tmp_path: Path) -> None:
    path = tmp_path / "inception.pt"
    torch.jit.script(Means()).save(str(path))
    x, _ = digits()
    found = artist.scores(x, path, 200)
    order = held_out(read(x))[0][:200]
    expected = [
        np.stack([np.repeat(each[:, None], 3, 1).reshape(200, -1)[:, half::2].mean(1) for half in (0, 1)], 1)
        for each in (x[order], artist.sample(200)[:, 0])
    ]
    assert found["metrics"]["frechet_distance"]["value"] == pytest.approx(frechet_distance(*expected), rel=1e-9)
    assert "sure" not in found["metrics"] and len(found["judge"]["sha256"]) == 64


def test_what_cannot_judge_or_be_judged_is_refused(artist: tw.Run, classifier: tw.Run, tmp_path: Path) -> None:
    x, _ = digits()
    with pytest.raises(InputError, match="does not tell classes of pictures"):
        artist.scores(x, artist)
    with pytest.raises(InputError, match="draws no pictures"):
        classifier.scores(x, classifier)
    with pytest.raises(InputError, match="no such file"):
        artist.scores(x, tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(InputError, match="not a TorchScript file"):
        artist.scores(x, tmp_path / "text.pt")
    torch.jit.script(nn.ReLU()).save(str(tmp_path / "relu.pt"))
    with pytest.raises(InputError, match="return_features"):
        artist.scores(x, tmp_path / "relu.pt")
    with pytest.raises(InputError, match="a distance between them takes 100"):
        artist.scores(x, classifier, 50)
    with pytest.raises(InputError, match="only diffusion takes it"):
        artist.scores(x, classifier, 200, guidance=2.0)


def test_parts_of_a_source_say_what_is_held_out() -> None:
    x, target = digits()
    source = read((x[:300], target[:300]), test=(x[300:500], target[300:500]))
    held, known = held_out(source)
    assert set(held) == set(range(300, 500)) and set(known) == set(range(300))
    held, known = held_out(read((x, target)))
    assert len(held) == len(x) and not len(known) and not np.array_equal(held, np.sort(held))
