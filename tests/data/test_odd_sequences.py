"""Texts, series and sounds with slips: what is named, counted and mended, and what is refused with its place."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.io import wavfile

from trainwell.data import as_answers, as_language, as_series, infer, read
from trainwell.data.tokens import TextTransform
from trainwell.errors import InputError


def classes(folder: Path, texts: list[str], coding: str = "utf-8") -> Path:
    for name in ("good", "poor"):
        (folder / name).mkdir(parents=True)
        for place, text in enumerate(texts):
            (folder / name / f"{place}.txt").write_bytes(f"{text} {name if text else ''}".strip().encode(coding))
    return folder


def test_texts_that_are_all_empty_are_refused_by_name(tmp_path: Path) -> None:
    source = read(str(classes(tmp_path / "reviews", [""] * 12)))
    with pytest.raises(InputError, match=r"reviews: 'text': all 24 texts to learn from are empty"):
        TextTransform.fit(source, infer(source), np.arange(24))


def test_a_text_of_another_code_is_named_with_its_folder_and_byte(tmp_path: Path) -> None:
    source = read(str(classes(tmp_path / "reviews", ["für"] * 12, "latin-1")))
    assert source.notes == ["good/0.txt is not UTF-8 at byte 1: read as windows-1252 (and 23 texts more)"]
    (tmp_path / "one.txt").write_bytes("für\n".encode("latin-1") * 300)
    with pytest.raises(InputError, match=r"iconv -f windows-1252 -t UTF-8 \S*one\.txt > utf8\.txt"):
        read(str(tmp_path / "one.txt"))


def test_texts_longer_than_the_network_reads_are_counted_for_other_sources_too(tmp_path: Path) -> None:
    source = read(str(classes(tmp_path / "reviews", ["one two three"] * 12)))
    transform = TextTransform.fit(source, infer(source), np.arange(24), tokenizer="characters", length=40)
    assert not transform.notes
    transform.encode(source)
    assert not transform.notes
    later = read(str(classes(tmp_path / "later", ["one two three " * 4, "", *["one"] * 10])))
    again = TextTransform.restore(*transform.save())
    for _ in range(2):  # said once
        again.encode(later, with_target=False)
        assert [note.split(" texts")[0] for note in again.notes] == ["2", "2 of 24"]


def test_a_list_with_a_few_empty_lines_is_a_list(tmp_path: Path) -> None:
    names = [f"name{place}" for place in range(200)]
    (tmp_path / "names.txt").write_text("\n".join([*names[:50], "", *names[50:]]))
    made, _ = as_language(read(str(tmp_path / "names.txt")))
    assert made.rows == 200 and any("1 empty line left out" in note for note in made.notes)


def test_tags_of_no_known_form_are_counted_and_named(tmp_path: Path) -> None:
    lines = ["Ann\tB-person", "went\tO", "home\tO", ""] * 20
    lines[5] = "went\tX-person"
    (tmp_path / "train.conll").write_text("\n".join(lines))
    assert any(
        "1 tag of another form than O, B-KIND and I-KIND" in note and "line 6: X-person" in note
        for note in read(str(tmp_path)).notes
    )


@pytest.mark.parametrize(("key", "value"), [("answer_start", "x"), ("text", 3)])
def test_answers_of_a_wrong_kind_are_refused_by_their_place(tmp_path: Path, key: str, value: object) -> None:
    answer = {"text": "here", "answer_start": 0, key: value}
    asked = {"id": "1", "question": "where?", "answers": [answer]}
    content = {"data": [{"title": "t", "paragraphs": [{"context": "here it is", "qas": [asked]}]}]}
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"qas\[0\]\.answers\[0\]\.{key}: found {value!r}, expected"):
        as_answers(read(str(tmp_path)))


def hours(count: int, zone: str) -> pl.DataFrame:
    start = pl.datetime_range(pl.datetime(2024, 3, 20), pl.datetime(2024, 5, 20), "1h", time_zone="UTC", eager=True)
    there = start.head(count).dt.convert_time_zone(zone)
    stamps = there.dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
    return pl.DataFrame({"time": stamps, "load": np.sin(np.arange(count) / 24 * 2 * np.pi)})


def test_clocks_that_are_changed_between_stamps_with_offsets_leave_no_gap(tmp_path: Path) -> None:
    frame = hours(600, "Europe/Berlin")
    assert frame["time"][0].endswith("+01:00") and frame["time"][-1].endswith("+02:00")
    frame.write_csv(tmp_path / "load.csv")
    made, _ = as_series(read(str(tmp_path / "load.csv")))
    assert made.rows == 600 and any("read as UTC" in note for note in made.notes)
    assert not any("without a row" in note for note in made.notes)
    hours(600, "Asia/Kolkata").write_csv(tmp_path / "there.csv")  # one offset throughout: the time on the wall
    made, _ = as_series(read(str(tmp_path / "there.csv")))
    assert str(made.frame["time"][0]) == "2024-03-20 05:30:00" and not made.notes


def test_one_stamp_that_is_no_moment_is_named(tmp_path: Path) -> None:
    stamps = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 6, 1), eager=True).cast(pl.String).to_list()
    stamps[5] = "no day"
    pl.DataFrame({"day": stamps, "load": np.arange(len(stamps)) % 7}).write_csv(tmp_path / "load.csv")
    source = read(str(tmp_path / "load.csv"))
    assert any("'no day' in row 6" in note for note in source.notes)
    with pytest.raises(InputError, match="1 row without a time in 'day', the first is row 6"):
        as_series(source)


def test_sounds_of_one_name_in_two_folders_are_those_of_the_table_s_own(tmp_path: Path) -> None:
    for part, pitch in (("test", 0), ("train", 100)):
        (tmp_path / part).mkdir()
        for place in range(12 if part == "train" else 3):
            wavfile.write(tmp_path / part / f"{place}.wav", 8000, np.full(4000, pitch, dtype=np.int16))
    pl.DataFrame({"file": [f"{place}.wav" for place in range(12)], "tone": ["a", "b"] * 6}).write_csv(
        tmp_path / "train.csv"
    )
    pl.DataFrame({"file": ["0.wav", "1.wav"], "tone": ["a", "b"]}).write_csv(tmp_path / "some.csv")
    for table in ("train.csv", "some.csv"):
        source = read(str(tmp_path / table))
        folders = {Path(path).parent.name for path in source.frame["file"]}
        assert folders == ({"train"} if table == "train.csv" else {"test"}) and not source.notes
