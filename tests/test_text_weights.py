"""tw.fit on texts from a hub folder's weights and tokenizer: what is taken over, kept with the run and refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import trainwell as tw
from trainwell.data.text import Pretrained, enclosed
from trainwell.errors import InputError
from trainwell.models.bert import BertEncoder
from trainwell.models.hub import load_hub, save_hub
from trainwell.predict import prediction_frame

tokenizers = pytest.importorskip("tokenizers")
WORDS = ["good", "bad", "film", "the", "a", "was", "anna", "paris", "left", "saw", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a WordPiece tokenizer that puts [CLS] and [SEP] around texts and cuts them, as MiniLM's does."""
    path = tmp_path_factory.mktemp("hub") / "tiny"
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: i for i, word in enumerate(known)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    around = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=around)
    made.enable_truncation(4)
    made.enable_padding(length=4)
    torch.manual_seed(0)
    save_hub(BertEncoder(len(known), width=16, depth=2, heads=2, context=64), path)
    made.save(str(path / "tokenizer.json"))
    return path


def test_the_tokenizer_is_neither_cut_nor_padded(folder: Path) -> None:
    tokenizer = Pretrained.read(str(folder / "tokenizer.json"))
    pieces = tokenizer.encode(["The good film was good ."])[0]
    assert len(pieces) == 6 and tokenizer.around == ([2], [3])
    assert enclosed(tokenizer, pieces, 64).tolist() == [2, *pieces.tolist(), 3]
    assert enclosed(tokenizer, pieces, 5, "end").tolist() == [2, *pieces.tolist()[:3], 3]
    assert enclosed(tokenizer, pieces, 6).tolist() == [2, pieces[0], *pieces.tolist()[-3:], 3]
    again = type(tokenizer)(tokenizer.save()["content"])
    assert again.encode(["a film"])[0].tolist() == tokenizer.encode(["a film"])[0].tolist()


def reviews(rows: int = 80) -> pl.DataFrame:
    random = np.random.default_rng(0)
    labels = random.choice(["good", "bad"], rows)
    texts = [" ".join([*random.choice(["the", "a", "film", "was"], 8), label]) for label in labels]
    return pl.DataFrame({"text": texts, "label": labels})


def long_reviews(rows: int = 120) -> pl.DataFrame:
    """Reviews of some 300 words, most of which say nothing."""
    short, random = reviews(rows), np.random.default_rng(1)
    texts = [" ".join([*random.choice(["the", "a", "film", "left"], 300), each]) for each in short["text"]]
    return short.with_columns(text=pl.Series(texts))


def test_few_long_texts_are_read_by_all_their_words_too(tmp_path: Path, folder: Path) -> None:
    changes = ["train.epochs=1", "train.precision=float32"]
    run = tw.fit(long_reviews(), "label", weights=folder, changes=changes, out=tmp_path / "run", quiet=True)
    assert run.recipe.model["name"] == "wide_deep" and run.recipe.model["reads"] == 64  # as many as it has places for
    assert run.transform.length == 2048 and run.metrics["accuracy"] > 0.9
    assert "wide_deep" in run.report.read_text()
    again = tw.load(run.path)
    assert np.allclose(again.predict_proba(long_reviews(9)), run.predict_proba(long_reviews(9)), atol=1e-6)


def test_what_is_frozen_stays_and_early_stages_move_less(tmp_path: Path, folder: Path) -> None:
    changes = ["train.epochs=1", "train.precision=float32", "transfer.freeze=4", "transfer.decay=0.1"]
    run = tw.fit(long_reviews(), "label", weights=folder, changes=changes, out=tmp_path / "run", quiet=True,
                 details=False)  # fmt: skip
    theirs, ours = load_hub(folder).state_dict(), run.model.deep.encoder.state_dict()
    moved = {name for name, value in theirs.items() if not torch.equal(value, ours[name])}
    assert moved and all(name.startswith("blocks.1.") for name in moved)


FROZEN = ["train.epochs=0.2", "optimizer.lr=1e-12", "train.precision=float32"]  # so that the weights stay as they were


@pytest.mark.parametrize("work", ["classify", "tag", "answer"])
def test_the_trunk_is_that_of_the_folder(tmp_path: Path, folder: Path, work: str) -> None:
    source, options = reviews(), {"target": "label", "types": {"text": "text"}}
    if work == "tag":
        frame = source.with_columns(tags=pl.Series(["O " * 8 + "B-x"] * 80)).drop("label")
        source, options = frame, {"target": "tags", "task": "tag"}
    if work == "answer":
        frame = source.rename({"text": "context", "label": "answer"}).with_columns(question=pl.lit("was the film"))
        source, options = frame, {"task": "answer"}
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    run = tw.fit(source, weights=copy, changes=FROZEN, out=tmp_path / "run", quiet=True, details=False, **options)
    assert run.recipe.model["name"] == ("bert" if work == "classify" else "bert_tagger")
    theirs, ours = load_hub(folder).state_dict(), run.model.encoder.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.allclose(value, ours[name], atol=1e-6) for name, value in theirs.items())
    shutil.rmtree(copy)  # a run keeps what it needs
    again = tw.load(run.path)
    asked = source.drop("answer") if work == "answer" else source
    assert again.predict(asked).tolist() == run.predict(asked).tolist()


def test_weights_and_a_head_learn(tmp_path: Path, folder: Path) -> None:
    changes = ["train.epochs=6", "optimizer.lr=0.01", "train.precision=float32"]
    run = tw.fit(reviews(160), "label", types={"text": "text"}, weights=folder, changes=changes, out=tmp_path / "run",
                 quiet=True)  # fmt: skip
    assert run.metrics["accuracy"] > 0.8
    kept = json.loads((run.path / "transform.json").read_text())["tokenizer"]
    assert kept["name"] == "file" and prediction_frame(run, reviews(3)).height == 3


def test_what_cannot_be_is_named(tmp_path: Path, folder: Path) -> None:
    pairs = pl.DataFrame({"en": ["a film"] * 20, "de": ["ein Film"] * 20})
    with pytest.raises(InputError, match="does not serve the task translate"):
        tw.fit(pairs, weights=folder, quiet=True)
    with pytest.raises(InputError, match="does not serve --model fasttext"):
        tw.fit(reviews(), "label", types={"text": "text"}, model="fasttext", weights=folder, quiet=True)
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"no tokenizer.json of the tokenizers"):
        tw.fit(reviews(), "label", types={"text": "text"}, weights=bare, out=tmp_path / "run", quiet=True)
    (bare / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="not found; weights for text need"):
        tw.fit(reviews(), "label", types={"text": "text"}, weights=bare, quiet=True)
