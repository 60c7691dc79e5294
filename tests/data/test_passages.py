"""Questions on passages to windows of tokens: where answers stand, windows as transformers cuts them, bad windows."""

import json
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from trainwell.data import as_answers, read
from trainwell.data.passages import AnswerTransform
from trainwell.data.schema import NOWHERE, UNTOLD
from trainwell.errors import InputError

PASSAGE = "The Danube rises in the Grün Forest. It ends in the Grün Sea after 2850 km."
LONG = " ".join(f"The river number {place} is {7 * place} km long and ends in lake {place % 9}." for place in range(40))


def asked(*rows: tuple[str, str, str]):
    """Rows of passage, question and answer as fit has them."""
    return as_answers(read(pl.DataFrame(rows, schema=["context", "question", "answer"], orient="row")))


def fitted(source, schema, **options) -> AnswerTransform:
    options = {"tokenizer": "characters", **options}
    return AnswerTransform.fit(source, schema, np.arange(source.rows), **options)


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe", "unigram"])
@pytest.mark.parametrize("length", [45, 384])
def test_the_target_tokens_give_the_answer_back(tokenizer, length):
    if tokenizer in ("bpe", "unigram"):
        pytest.importorskip("tokenizers")
    answers = ("the Grün Forest", "2850 km")
    source, schema = asked((PASSAGE, "Where?", answers[0]), (PASSAGE, "How long?", answers[1]))
    transform = fitted(source, schema, tokenizer=tokenizer, vocabulary=300, length=length, overlap=17)
    batch, questions = transform.encode(source), transform.asked(source)
    tokens, mask, segments = (each[:] for each in batch["inputs"])
    inside = batch["inside"][:].bool()
    for window, row in enumerate(batch["row"].tolist()):
        first, last = batch["target"][window].tolist()
        stands = questions[row].characters
        assert PASSAGE[stands[first, 0] : stands[last, 1]].strip() == answers[row]
        places = inside[window].nonzero()[:, 0] + batch["shift"][window]
        assert tokens[window][inside[window]].tolist() == questions[row].tokens[places].tolist()
        assert int(segments[window].argmax()) == int(inside[window].int().argmax())
        assert int(mask[window].sum()) <= length
    state, arrays = transform.save()
    again = AnswerTransform.restore(json.loads(json.dumps(state)), arrays).encode(source)
    assert (again["target"] == batch["target"]).all() and (again["row"] == batch["row"]).all()


@pytest.mark.parametrize(("length", "overlap"), [(40, 0), (40, 7), (64, 20), (100, 33)])
def test_windows_cover_a_passage_and_share_the_overlap(length, overlap):
    source, schema = asked(*((LONG[:size], "How?", LONG[:3]) for size in (1, 5, 30, 31, 90, 400, 401)))
    transform = fitted(source, schema, length=length, overlap=overlap)
    for question in transform.asked(source):
        windows = transform.windows(question)
        assert windows[0][0] == 0 and windows[-1][1] == len(question.tokens)
        assert all(end - begin <= length - len(question.head) - 1 for begin, end in windows)
        assert all(one[1] - other[0] == overlap for one, other in pairwise(windows))


@pytest.mark.parametrize(("length", "overlap"), [(60, 20), (90, 0), (128, 50), (384, 128)])
def test_windows_are_those_of_transformers(tmp_path, length, overlap):
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    made = tokenizers.BertWordPieceTokenizer()
    made.train_from_iterator([LONG, PASSAGE], vocab_size=120)
    made.save(str(tmp_path / "tokenizer.json"))
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]", padding_side="right"
    )
    rows = [
        (LONG, "How long is river number 3?", "273 km"),
        (PASSAGE, "Where?", "the Grün Forest"),
        (LONG, "What?", ""),
    ]
    source, schema = asked(*rows)
    transform = fitted(source, schema, tokenizer=str(tmp_path / "tokenizer.json"), length=length, overlap=overlap)
    batch = transform.encode(source)
    options = {"truncation": "only_second", "max_length": length, "stride": overlap, "padding": "longest"}
    options |= {f"return_{name}": True for name in ("overflowing_tokens", "offsets_mapping", "token_type_ids")}
    questions, passages = [row[1] for row in rows], [row[0] for row in rows]
    wanted = theirs(questions, passages, return_tensors="np", **options)
    assert batch["row"].tolist() == wanted["overflow_to_sample_mapping"].tolist()
    ours = batch["inputs"][0][:].numpy()
    mask = batch["inputs"][1][:].numpy()
    assert (ours * mask == wanted["input_ids"] * wanted["attention_mask"]).all()
    assert (batch["inputs"][2][:].numpy() == wanted["token_type_ids"]).all()
    inside, questions = batch["inside"][:].bool().numpy(), transform.asked(source)
    for window, row in enumerate(batch["row"].tolist()):
        places = np.flatnonzero(inside[window]) + int(batch["shift"][window])
        assert (wanted["offset_mapping"][window][inside[window]] == questions[row].characters[places]).all()


def test_no_answer_and_an_answer_that_fits_no_window_are_told_apart():
    source, schema = asked((LONG, "What?", LONG[100:170]), (LONG, "Who?", ""), (LONG, "Where?", "lake 3"))
    transform = fitted(source, schema, length=60, overlap=20)
    batch = transform.encode(source)
    target = {row: batch["target"][batch["row"] == row].unique(dim=0).tolist() for row in range(3)}
    assert target[0] == [[UNTOLD, UNTOLD]] and target[1] == [[NOWHERE, NOWHERE]]
    begin = LONG.index("lake 3")
    assert target[2] == [[begin, begin + 5]] and transform.threshold == 0.5
    assert any("1 answer of 3 stands whole in no window" in note and "overlap" in note for note in transform.notes)
    windows = f"3 questions of 3 on passages longer than a window of 60 tokens: read in {len(batch['row'])} windows"
    assert any(windows in note and "share 20 tokens" in note for note in transform.notes)


def test_questions_that_are_cut_are_counted():
    source, schema = asked((PASSAGE, "Where?", "Danube"), (PASSAGE, "Where " * 20, "Danube"))
    transform = fitted(source, schema, length=90)
    assert any("1 question of 2 longer than 30 tokens" in note for note in transform.notes)
    assert transform.threshold == 1.0  # nothing taught it to say that there is no answer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 37}, "transform.overlap=37: .* 0 to 36"),
        ({"overlap": -1}, "transform.overlap=-1: .* 0 to 36"),
        ({"length": 8}, "expected 16 and 3 at least"),
    ],
)
def test_windows_that_cannot_be_are_refused(options, message):
    source, schema = asked((PASSAGE, "Where?", "Danube"))
    with pytest.raises(InputError, match=message):
        fitted(source, schema, **{"length": 60, **options})


def test_a_transform_of_before_windows_still_opens():
    source, schema = asked((PASSAGE, "Where?", "Danube"))
    state, arrays = fitted(source, schema).save()
    old = {key: value for key, value in state.items() if key not in ("overlap", "threshold")}
    again = AnswerTransform.restore(old, arrays)
    assert (again.overlap, again.threshold) == (128, 1.0) and len(again.encode(source)["row"]) == 1
