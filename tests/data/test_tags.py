"""Files in CoNLL's columns to sentences, and sentences to pieces: what is read, counted and refused."""

import numpy as np
import polars as pl
import pytest

from trainwell.data import as_tags, looks_like_tags, read
from trainwell.data.tagged import TagTransform
from trainwell.data.tags import in_order
from trainwell.errors import InputError

SENTENCES = "Anna\tB-per\nKarenina\tI-per\nleft\tO\n\nParis\tB-loc\nis\tO\nfar\tO\n\n\n"


def test_a_folder_of_parts_is_read_by_their_names(write):
    write("set/wnut17train.conll", SENTENCES)
    write("set/emerging.dev.conll", "Anna\tB-per\n\n")
    write("set/README.rst", "about")
    path = write("set/emerging.test.annotated", SENTENCES.replace("\t", " "))
    source = read(path.parent)
    assert looks_like_tags(source) and source.parts.tolist() == ["train"] * 2 + ["val"] + ["test"] * 2
    tagged, schema = as_tags(source)
    assert schema.task == "tag" and schema.classes == ["O", "B-loc", "B-per", "I-per"]
    assert tagged.frame["tokens"][0] == "Anna Karenina left" and tagged.frame["tags"][0] == "B-per I-per O"
    assert read(path.parent / "wnut17train.conll").rows == 2  # one file alone


@pytest.mark.parametrize(
    ("tags", "kept", "wrong"),
    [
        ("B-a I-a O", "B-a I-a O", []),
        ("I-a I-a O I-b", "B-a I-a O B-b", [0, 3]),
        ("B-a I-b", "B-a B-b", [1]),
        ("S-a B-b E-b O", "B-a B-b I-b O", []),  # BIOES
        ("B-a L-a I-a U-a", "B-a I-a B-a B-a", [2]),  # BILOU, an I after the end
        ("NOUN VERB", "NOUN VERB", []),
    ],
)
def test_tags_are_put_in_order(tags, kept, wrong):
    assert in_order(tags.split()) == (kept.split(), wrong)


def test_tags_out_of_order_are_counted_with_the_first(write):
    path = write("a/train.conll", "in\tO\nParis\tI-loc\n\nAnna\tI-per\n")
    notes = read(path).notes
    assert any("2 tags out of order" in note and "train.conll, line 2: I-loc after O" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\nc\tO\n\n", "line 2: found 'b', expected a token and its tag"),
        ("a\tO\n\tO\n\n", "line 2"),
        (b"a\tO\n\xff\tO\n\n", "line 2: byte 4 is 0xff, which is not UTF-8"),
        ("\n\n", "no sentence"),
    ],
)
def test_lines_that_cannot_be_are_named(write, content, message):
    with pytest.raises(InputError, match=message):
        read(write("a/train.conll", content))


def test_columns_need_as_many_tags_as_tokens():
    frame = pl.DataFrame({"words": ["a b", "c d", ""], "marks": ["O O", "O", ""]})
    with pytest.raises(InputError, match="row 2: 2 tokens in 'words', but 1 tags in 'marks'"):
        as_tags(read(frame), "marks")
    source, schema = as_tags(read(frame[[0, 2]]), "marks")
    assert source.rows == 1 and any("1 empty row" in note for note in source.notes) and schema.classes == ["O"]
    with pytest.raises(InputError, match="--target"):
        as_tags(read(frame))


@pytest.fixture
def transform(write):
    source, schema = as_tags(read(write("a/train.conll", SENTENCES)))
    return TagTransform.fit(source, schema, np.arange(2), tokenizer="characters", length=16), source


def test_the_first_piece_of_each_word_bears_its_tag(transform):
    made, source = transform
    batch = made.encode(source)
    tokens, mask, target = (each[:] for each in (*batch["inputs"], batch["target"]))
    assert target.shape == tokens.shape and int(mask.sum(1)[0]) == 16  # a blank and its letters; cut
    assert target[0].nonzero().flatten().tolist() == [0, 5, 14]
    assert target[0][[0, 5, 14]].tolist() == [3, 4, 1]
    unknown = made.encode(read(pl.DataFrame({"text": ["Anna left Paris", ""]})), with_target=False)
    assert (unknown["target"][0:1] > 0).sum() == 3 and (unknown["target"][1:2] > 0).sum() == 0
    assert any("1 sentence longer than 16 pieces" in note for note in made.notes)
    state, arrays = made.save()
    assert (TagTransform.restore(state, arrays).encode(source)["target"][:] == target).all()


def test_a_tag_that_training_lacked_is_named(transform):
    made, _ = transform
    source = read(pl.DataFrame({"tokens": ["Anna"], "tags": ["B-org"]}))
    with pytest.raises(InputError, match="'B-org' was not there in training"):
        made.encode(source)
