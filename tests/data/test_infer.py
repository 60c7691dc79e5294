"""Schemas as a statistician would write them."""

import datetime
import json

import numpy as np
import polars as pl
import pytest

from trainwell.data import Schema, infer, read
from trainwell.data.kinds import describe
from trainwell.errors import InputError

ROWS = 200
RNG = np.random.default_rng(0)


def kind(values, name: str = "x") -> tuple[str, str]:
    column = describe(name, pl.Series(name, values))
    return column.kind, column.role


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("x", RNG.normal(size=ROWS), ("number", "input")),
        ("age", RNG.integers(18, 80, ROWS), ("number", "input")),
        ("income", RNG.permutation(10**6)[:ROWS] + 10_000, ("number", "input")),
        ("count", RNG.poisson(2, ROWS), ("number", "input")),
        ("rooms", RNG.integers(1, 5, ROWS), ("number", "input")),
        ("flag", RNG.integers(0, 2, ROWS), ("category", "input")),
        ("flag", RNG.integers(0, 2, ROWS).astype(float), ("category", "input")),
        ("flag", RNG.integers(0, 2, ROWS).astype(bool), ("category", "input")),
        ("building_class", RNG.choice([20, 30, 45, 190], ROWS), ("category", "input")),
        ("code", RNG.choice([20, 30, 45, 190], ROWS), ("category", "input")),
        ("x", RNG.choice([20, 30, 45, 190], ROWS), ("category", "input")),
        ("x", RNG.choice([10, 20, 30, 40], ROWS), ("number", "input")),
        ("zip", RNG.integers(1, 9, ROWS), ("category", "input")),
        ("x", np.arange(ROWS), ("number", "ignored")),
        ("x", np.arange(ROWS)[::-1] + 1000, ("number", "ignored")),
        ("customer_id", RNG.permutation(10_000)[:ROWS], ("number", "ignored")),
        ("year", np.arange(ROWS) + 1800, ("number", "input")),
        ("x", np.cumsum(RNG.integers(1, 50, ROWS)), ("number", "ignored")),
        ("case", RNG.choice([530_000, 5_300_000], ROWS) + RNG.permutation(ROWS), ("number", "ignored")),
        ("x", np.full(ROWS, 3.5), ("number", "ignored")),
        ("x", ["same"] * ROWS, ("category", "ignored")),
        ("x", [None] * ROWS, ("category", "ignored")),
        ("town", RNG.choice(["Ulm", "Bonn", "Jena"], ROWS), ("category", "input")),
        ("name", [f"user{place:05d}" for place in range(ROWS)], ("category", "ignored")),
        ("review", [f"it was {place} times as good as we thought" for place in range(ROWS)], ("text", "input")),
        ("answer", RNG.choice(["I do not know at all", "I agree with all of it"], ROWS), ("category", "input")),
        (
            "when",
            [datetime.date(2020, 1, 1) + datetime.timedelta(days=place) for place in range(ROWS)],
            ("time", "input"),
        ),
    ],
)
def test_kinds(name, values, expected):
    assert kind(values, name) == expected


def test_a_value_or_nothing_is_worth_keeping():
    assert kind([1, None] * 100) == ("category", "input")


def test_categories_by_frequency_and_missing():
    column = describe("x", pl.Series(["b", "a", "b", None, "c", "a", "b"]))
    assert column.categories == ["b", "a", "c"] and (column.missing, column.unique) == (1, 3)


def test_figures_of_numbers():
    values = RNG.exponential(size=ROWS)
    facts = describe("x", pl.Series(values)).facts
    assert facts["mean"] == pytest.approx(values.mean()) and facts["deviation"] == pytest.approx(values.std())
    assert facts["skew"] > 1 and facts["low"] == values.min() and facts["whole"] is False


def frame(**more) -> pl.DataFrame:
    return pl.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.choice(["u", "v"], ROWS), **more})


def task(target, name: str = "answer", **options) -> str:
    return infer(read(frame(**{name: target})), **options).task


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (RNG.normal(size=ROWS), "regress"),
        (RNG.integers(0, 1000, ROWS), "regress"),
        (RNG.integers(3, 9, ROWS), "regress"),
        (RNG.integers(0, 10, ROWS), "classify"),
        (RNG.integers(1, 4, ROWS), "classify"),
        (RNG.integers(0, 3, ROWS).astype(float), "classify"),
        (RNG.choice([-1, 1], ROWS), "classify"),
        (RNG.choice([0.25, 0.75], ROWS), "classify"),
        (RNG.choice(["x", "y"], ROWS), "classify"),
        (np.repeat(np.arange(40), 5), "classify"),
    ],
)
def test_tasks(target, expected):
    assert task(target) == expected


def test_types_overrule():
    target = RNG.integers(0, 5, ROWS)
    assert task(target, types={"answer": "number"}) == "regress"
    assert task(RNG.integers(3, 9, ROWS), types={"answer": "category"}) == "classify"
    schema = infer(read(frame(age=RNG.integers(0, 90, ROWS), y=target)), types={"age": "category"})
    assert schema["age"].kind == "category" and schema["age"].reason == "told by the user"
    assert len(schema["age"].categories) == schema["age"].unique


def test_which_column_is_the_target():
    by_name = infer(read(frame(Label=RNG.integers(0, 2, ROWS), last=RNG.normal(size=ROWS))))
    assert by_name.targets[0].name == "Label" and "its name" in by_name.targets[0].reason
    last = infer(read(frame(last=RNG.normal(size=ROWS))))
    assert last.targets[0].name == "last" and "last column" in last.targets[0].reason
    unfit = infer(read(frame(last=RNG.normal(size=ROWS), user=[f"u{place}" for place in range(ROWS)])))
    assert unfit.targets[0].name == "last"
    comma = infer(read(frame(**{"p,q": RNG.normal(size=ROWS), "z": RNG.normal(size=ROWS)})), target="p,q")
    assert [column.name for column in comma.targets] == ["p,q"]


def test_several_targets():
    labels = frame(p=RNG.integers(0, 2, ROWS), q=RNG.choice(["no", "yes"], ROWS))
    schema = infer(read(labels), target="p,q")
    assert (schema.task, schema.classes) == ("classify", ["p", "q"])
    assert schema["q"].categories == ["no", "yes"]
    amounts = infer(read(frame(p=RNG.normal(size=ROWS), q=RNG.normal(size=ROWS))), target=["p", "q"])
    assert amounts.task == "regress" and len(amounts.targets) == 2
    with pytest.raises(InputError, match="'b'"):
        infer(read(frame(p=RNG.normal(size=ROWS))), target="p,b")


def test_group_time_and_ignored():
    data = frame(
        patient=np.repeat(np.arange(40), 5), when=np.arange(ROWS) + 0.5, noise=RNG.normal(size=ROWS), y=[0, 1] * 100
    )
    schema = infer(read(data), group="patient", time="when", ignore=["noise"])
    assert schema["patient"].role == "group" and schema["noise"].role == "ignored"
    assert [column.name for column in schema.inputs] == ["a", "b", "when"]


def test_a_column_can_be_left_out_by_its_type():
    source = read(frame(age=RNG.integers(0, 90, ROWS), size=RNG.normal(size=ROWS), y=RNG.normal(size=ROWS)))
    schema = infer(source, target="y", types={"age": "ignored"})
    assert (schema["age"].role, schema["age"].reason) == ("ignored", "told by the user")
    with pytest.raises(InputError, match="'ignored'"):
        infer(source, target="y", types={"age": "ignore"})


def test_pictures_text_alone_and_round_trip():
    schema = infer(read({"image": np.zeros((20, 8, 8), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None]}))
    assert schema.task == "reconstruct" and schema["image"].facts["shape"] == [8, 8]
    assert infer(read({"text": np.array([f"line {place} of text" for place in range(20)])})).task == "language"
    for found in (schema, infer(read(frame(label=RNG.choice(["x", "y"], ROWS))))):
        assert Schema.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_thousands_of_categories():
    schema = infer(
        read(pl.DataFrame({"town": [f"t{place % 3000}" for place in range(9000)], "y": [0.5, 1.5, 2] * 3000}))
    )
    assert schema["town"].kind == "category" and schema["town"].unique == 3000
