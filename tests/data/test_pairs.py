"""Aligned files and columns to pairs, and pairs to tokens: what is read, refused, padded and put by length."""

import numpy as np
import polars as pl
import pytest
import torch

from trainwell.data import BucketedLoader, Loader, as_pairs, looks_like_pairs, read
from trainwell.data.sentences import PairsTransform
from trainwell.errors import InputError

ENGLISH = [
    f"the {animal} {verb}" + " very" * extra
    for extra in range(4)
    for animal in ("cat", "dog")
    for verb in ("eats", "sleeps")
]
GERMAN = [
    f"{animal} {verb}" + " sehr" * extra
    for extra in range(4)
    for animal in ("die Katze", "der Hund")
    for verb in ("isst", "ruht")
]


@pytest.fixture
def folder(write):
    for part in ("train", "val", "test_2016_flickr"):
        write(f"set-en-de/{part}.en.txt", "\n".join(ENGLISH) + "\n")
        path = write(f"set-en-de/{part}.de.txt", "\n".join(GERMAN))  # without the last line feed
    return path.parent


def test_aligned_files_are_pairs_with_their_parts(folder):
    source = read(folder)
    assert looks_like_pairs(source) and source.frame.columns == ["en", "de"]
    pairs, schema = as_pairs(source)
    assert (schema.inputs[0].name, schema.targets[0].name, schema.task) == ("en", "de", "translate")
    assert {part: int((pairs.parts == part).sum()) for part in ("train", "val", "test")} == dict.fromkeys(
        ("train", "val", "test"), 16
    )
    _, schema = as_pairs(source, "en")
    assert schema.inputs[0].name == "de" and schema.targets[0].name == "en"


def test_only_line_feeds_end_lines(write):
    write("x-de-en/train.en.txt", "one\u2028still one\x0bstill\nb\nthree\n")
    path = write("x-de-en/train.de.txt", "eins\r\nzwei\r\ndrei\r\n")
    source = read(path.parent)
    assert source.frame.columns == ["de", "en"] and source.rows == 3 and source.parts is None
    assert source.frame["de"].to_list() == ["eins", "zwei", "drei"]


@pytest.mark.parametrize(
    ("english", "german", "message"),
    [
        (
            "a\nb\nc\n",
            "x\ny\n",
            r"2 lines, but train.en.txt has 3; the first gap is line 3 of train.de.txt, opposite to 'c'",
        ),
        ("a\n\nc\nd\n", "x\ny\nz\n", r"the first gap is line 2 of train.en.txt, opposite to 'y'"),
        (
            b"a\nb\n",
            "x\ngrün\n".encode("latin-1"),
            r"train.de.txt, line 2: byte 4 is 0xfc, which is not UTF-8; it looks like windows-1252",
        ),
        ("\n\n", "\n\n", "no pair has text in both"),
    ],
)
def test_files_that_do_not_fit_are_named(write, english, german, message):
    write("t/train.en.txt", english)
    path = write("t/train.de.txt", german)
    with pytest.raises(InputError, match=message):
        as_pairs(read(path.parent))


def test_a_lone_side_and_a_third_language_are_refused(folder, write):
    lone = write("set-en-de/more.en.txt", "a\n")
    with pytest.raises(InputError, match=r"more.en.txt has no partner in 'de'"):
        read(folder)
    lone.unlink()
    write("set-en-de/train.fr.txt", "a\n")
    with pytest.raises(InputError, match="3 languages"):
        read(folder)


def test_empty_sides_are_left_out_and_counted():
    frame = pl.DataFrame({"en": ["a", " ", "c", None], "de": ["x", "y", "", "z"]})
    source, schema = as_pairs(read(frame))
    assert source.rows == schema.rows == 1
    assert any("3 pairs with an empty side left out (the first is number 2)" in note for note in source.notes)


def test_columns_of_a_table_are_told_by_target():
    frame = pl.DataFrame({"id": ["1", "2"], "document": ["a long text", "another"], "summary": ["text", "other"]})
    assert not looks_like_pairs(read(frame))
    _, schema = as_pairs(read(frame), "summary", "summarize")
    assert schema.inputs[0].name == "document" and schema.task == "summarize"
    for target, message in ((None, "--target"), ("summry", "summary")):
        with pytest.raises(InputError, match=message):
            as_pairs(read(frame), target)


@pytest.fixture
def encoded(folder):
    source, schema = as_pairs(read(folder))
    transform = PairsTransform.fit(source, schema, np.arange(16), tokenizer="characters", length=20)
    return transform, source, transform.encode(source, np.arange(16))


def test_targets_are_inputs_one_token_later(encoded):
    transform, source, batch = encoded
    read_tokens, before, mask = (each[:] for each in batch["inputs"])
    target = batch["target"][:]
    assert transform.supplies["vocabulary"] == transform.end + 1
    for row in range(16):
        length = int((target[row] != 0).sum())
        assert before[row, 0] == transform.start and torch.equal(before[row, 1:length], target[row, : length - 1])
        assert target[row, length - 1] == transform.end
        assert transform.decode(target[row].tolist()) == source.frame["de"][row][:19]
        assert int(mask[row].sum()) == int((read_tokens[row] != 0).sum())
    assert any("longer than 20 tokens" in note for note in transform.notes)
    state, arrays = transform.save()
    again = PairsTransform.restore(state, arrays)
    assert torch.equal(again.encode(source)["target"][:16], transform.encode(source)["target"][:16])


def test_texts_alone_can_be_read(encoded):
    transform, _, _ = encoded
    assert transform.texts(read(pl.DataFrame({"anything": ["a cat"]}))) == ["a cat"]
    with pytest.raises(InputError, match="'en' is missing"):
        transform.texts(read(pl.DataFrame({"a": ["b"], "c": ["d"]})))


def test_batches_hold_rows_of_like_length(encoded):
    _, _, batch = encoded
    repeated = {"inputs": batch["inputs"], "target": batch["target"], "row": batch["row"]}
    plain = Loader(repeated, batch_size=3, seed=1)
    bucketed = BucketedLoader(repeated, batch_size=3, seed=1)

    def padding(loader):
        return sum(int((each["target"] == 0).sum()) for each in loader)

    assert padding(bucketed) < padding(plain) / 2
    rows = torch.cat([each["row"] for each in bucketed])
    assert sorted(rows.tolist()) == list(range(16)) and len(bucketed) == 6
    bucketed.set_epoch(1)
    assert not torch.equal(torch.cat([each["row"] for each in bucketed]), rows)
    later = [each["row"] for each in bucketed.iterate(2)]
    assert torch.equal(later[0], list(bucketed)[2]["row"])  # a resumed epoch goes on in the same order
