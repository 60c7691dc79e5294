"""Texts to tokens and back, ragged batches, pieces of a text, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from trainwell.data import Source, as_language, infer, looks_like_language, read
from trainwell.data.stream import StreamTransform
from trainwell.data.text import NAMES, UNKNOWN, restored_tokenizer, tokenizer_of
from trainwell.data.tokens import Mask, Ragged, TextTransform
from trainwell.errors import InputError

TEXTS = ["The quick brown fox.", "The lazy dog, naïve!", "quick quick lazy The fox dog ."] * 5


@pytest.mark.parametrize("name", NAMES)
def test_every_tokenizer_comes_back_from_its_saved_form(name: str) -> None:
    if name not in ("characters", "bytes"):
        pytest.importorskip("tokenizers")
    made = tokenizer_of(name, TEXTS, 300)
    again = restored_tokenizer(made.save())
    for ours, theirs in zip(made.encode(TEXTS), again.encode(TEXTS), strict=True):
        assert np.array_equal(ours, theirs) and ours.max() < made.vocabulary == again.vocabulary
    if name in ("characters", "bytes", "bpe", "unigram"):
        assert all(made.decode(ids.tolist()) == text for ids, text in zip(made.encode(TEXTS), TEXTS, strict=True))


def test_what_the_vocabulary_lacks_is_unknown() -> None:
    assert tokenizer_of("characters", ["abc"], 10).encode(["abz"])[0].tolist()[2] == UNKNOWN
    assert UNKNOWN not in tokenizer_of("bytes", ["abc"], 10).encode(["žluť"])[0]


def test_tokenizers_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="did you mean 'words'"):
        tokenizer_of("wrds", TEXTS, 10)
    with pytest.raises(InputError, match="all empty"):
        tokenizer_of("characters", ["", " "], 10)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"pip install -c constraints.txt -e .\[text\]"):
        tokenizer_of("bpe", TEXTS, 300)


def test_ragged_rows_are_padded_to_the_longest_asked_for() -> None:
    lengths = torch.tensor([3, 1, 2])
    starts = torch.tensor([0, 3, 4])
    rows = Ragged(torch.tensor([5, 6, 7, 8, 9, 4], dtype=torch.int32), starts, lengths)
    assert rows[:].tolist() == [[5, 6, 7], [8, 0, 0], [9, 4, 0]]
    assert rows.index_select(0, torch.tensor([2, 1])).tolist() == [[9, 4], [8, 0]]
    mask = Mask(rows.values, starts, lengths)
    assert mask[1:].tolist() == [[True, False], [True, True]] and len(mask) == 3


def reviews(rows: int = 60) -> pl.DataFrame:
    random = np.random.default_rng(0)
    words = {"good": ["fine", "lovely", "great"], "bad": ["dull", "awful", "poor"]}
    labels = random.choice(["good", "bad"], rows)
    texts = [" ".join([*random.choice(words[label], 3), *random.choice(["the", "a", "film"], 4)]) for label in labels]
    return pl.DataFrame({"review": texts, "label": labels})


def test_texts_become_tokens_with_their_mask() -> None:
    pytest.importorskip("tokenizers")
    source = read(reviews().with_columns(review=pl.when(pl.int_range(60) == 7).then(pl.lit("")).otherwise("review")))
    schema = infer(source, types={"review": "text"})
    transform = TextTransform.fit(source, schema, np.arange(40), length=5)
    batch = transform.encode(source, np.array([3, 7]))
    tokens, mask = (each[:] for each in batch["inputs"])
    assert tokens.shape == mask.shape == (2, 5) and mask.sum(1).tolist() == [5, 1]
    assert any("1 text" in note and "empty" in note for note in transform.notes)
    assert any("longer than 5 tokens" in note for note in transform.notes)
    again = TextTransform.restore(*transform.save())
    assert torch.equal(again.encode(source)["inputs"][0][:], transform.encode(source)["inputs"][0][:])
    with pytest.raises(InputError, match="'review' is missing"):
        transform.encode(read(reviews().rename({"review": "text"})))
    with pytest.raises(InputError, match="expected 1 and 3"):
        TextTransform.fit(source, schema, np.arange(40), length=0)


def test_one_text_is_cut_into_stretches_that_join_again(tmp_path: Path) -> None:
    text = "".join(f"Line {i} of a play.\n\n" if i % 5 == 0 else f"And line {i}.\n" for i in range(500))
    (tmp_path / "play.txt").write_text(text)
    for given in (tmp_path, tmp_path / "play.txt"):
        source = read(str(given))
        assert looks_like_language(source)
        made, schema = as_language(source)
        assert schema.task == "language" and made.rows == made.hints["language"]["characters"] // 10
        assert "".join(made.frame["text"]).split() == text.split()
        assert not made.hints["language"]["listed"]


def test_lines_of_a_list_are_examples_of_their_own(tmp_path: Path) -> None:
    names = [f"name{i}" for i in range(100)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    for given in (tmp_path, tmp_path / "names.txt"):
        made, _ = as_language(read(str(given)))
        lines = made.frame["text"].to_list()
        assert sorted(lines) == sorted(name + "\n" for name in names) and made.hints["language"]["listed"]
        assert lines == [names[place] + "\n" for place in made.frame["place"]]
        assert lines != sorted(lines)  # a sorted list would tell by its neighbours how the next one begins


def test_windows_go_on_one_token_later(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij klmno\n\n" * 100)
    source, schema = as_language(read(str(tmp_path)))
    transform = StreamTransform.fit(source, schema, np.arange(100), 16)
    batch = transform.encode(source, np.arange(100, 120))
    tokens, target = batch["inputs"][0][:], batch["target"][:]
    assert torch.equal(tokens[:, 1:], target[:, :-1]) and tokens.shape[1] == 16
    joined = transform.tokenizer.decode(tokens.flatten().tolist())
    assert "".join(source.frame["text"][100:120]).startswith(joined)
    again = StreamTransform.restore(*transform.save())
    assert again.prompt("abc") == transform.prompt("abc")
    assert transform.tokenizer.decode(again.prompt("abc")) == "abc"


def test_texts_that_cannot_be_learned(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij klmno\n\n" * 100)
    source, schema = as_language(read(str(tmp_path)))
    with pytest.raises(InputError, match=r"model\.context=99999"):
        StreamTransform.fit(source, schema, np.arange(100), 99_999)
    transform = StreamTransform.fit(source, schema, np.arange(100), 16)
    with pytest.raises(InputError, match="do not fill one window"):
        transform.encode(source, np.arange(1))
    with pytest.raises(InputError, match="--prompt is empty"):
        transform.prompt("")
    with pytest.raises(InputError, match="'Z', 'ž'"):
        transform.prompt("abZcž")
    assert transform.prompt(None)
    with pytest.raises(InputError, match="at least 400"):
        as_language(read(pl.DataFrame({"text": ["short", "", "texts"]})))
    with pytest.raises(InputError, match="did you mean 'text'"):
        as_language(read(pl.DataFrame({"text": ["short", "texts"]})), "txt")
    with pytest.raises(InputError, match="no column of text"):
        as_language(read(pl.DataFrame({"a": [1, 2]})))


def test_a_file_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"plain words\n" * 40 + "caf\u00e9\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"byte 483 is 0xe9.*windows-1252"):
        read(str(tmp_path / "text.txt"))


def test_stretches_end_between_words_where_words_are_to_be_found() -> None:
    text = " ".join(f"word{number}" for number in range(900))
    source = Source("text", pl.DataFrame({"text": [text]}), {}, "memory")
    for task in ("masked_language", "span_corruption"):
        pieces = as_language(source, task=task)[0].frame["text"].to_list()
        assert "".join(pieces) == text and 300 < len(pieces) <= 720
        assert all(piece.startswith(" word") for piece in pieces[1:])
    assert not all(piece.startswith(" word") for piece in as_language(source)[0].frame["text"].to_list()[1:])
