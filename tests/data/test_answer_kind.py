"""What a user says the answer is, a number or classes in an order, and every way that it cannot be."""

import numpy as np
import polars as pl
import pytest

from trainwell.errors import InputError
from trainwell.prepare import prepare

RANDOM = np.random.default_rng(0)
ROWS = 60
FRAME = pl.DataFrame(
    {
        "size": RANDOM.normal(size=ROWS),
        "stars": RANDOM.permutation(np.arange(ROWS) % 5 + 1),
        "grade": RANDOM.permutation(["low", "middle", "high"] * 20),
        "price": RANDOM.normal(size=ROWS) * 10 + 50,
        "same": [3.5] * ROWS,
    }
)


def frame(target: str) -> pl.DataFrame:
    return FRAME.select("size", target)


@pytest.mark.parametrize("task", ["gaussian", "quantile", "mixture", "regress"])
def test_whole_numbers_that_look_like_classes_are_numbers(task: str) -> None:
    assert prepare(frame("stars"), "stars")[1].task == "classify"
    _, schema, plan = prepare(frame("stars"), "stars", task=task)
    assert schema.task == "regress" and not schema.classes and plan.recipe.task["name"] == task
    assert prepare(frame("stars"), "stars", changes=[f"task.name={task}"])[1].task == "regress"


def test_numbers_are_ranked_by_size() -> None:
    scrambled = pl.DataFrame({"size": FRAME["size"], "level": (FRAME["stars"] * 10).cast(pl.String)})
    _, schema, _ = prepare(scrambled, "level", task="ordinal")
    assert schema.task == "classify" and schema.classes == ["10", "20", "30", "40", "50"]
    _, schema, plan = prepare(FRAME.select("size", pl.col("stars") + 0.5), "stars", task="ordinal")
    assert schema.classes == ["1.5", "2.5", "3.5", "4.5", "5.5"] and "--task ordinal" in schema["stars"].reason
    assert plan.recipe.task["name"] == "ordinal"


def test_an_order_that_is_told_is_kept_and_comes_back_from_the_recipe() -> None:
    told = ["task.order=[low, middle, high]"]
    _, schema, plan = prepare(frame("grade"), "grade", task="ordinal", changes=told)
    assert schema.classes == ["low", "middle", "high"]
    assert prepare(frame("grade"), "grade", recipe=plan.recipe)[1].classes == schema.classes
    _, schema, _ = prepare(frame("stars"), "stars", task="ordinal", changes=["task.order=[5, 4, 3, 2, 1]"])
    assert schema.classes == ["5", "4", "3", "2", "1"]


@pytest.mark.parametrize(
    ("target", "order", "words"),
    [
        (
            "grade",
            None,
            r"'high', 'low', 'middle', whose order is not told.*order=\[\"high\", \"low\"",
        ),
        ("grade", "[low, high]", "leaves out 'middle'"),
        ("grade", "[low, middle, high, top]", "names what is no class: 'top'"),
        ("grade", "[low, low, middle, high]", "names twice 'low'"),
        ("grade", "[bad, worse]", "no class: 'bad', 'worse'"),
        ("stars", "[1, 2, 3]", "leaves out '4', '5'"),
        ("grade", "low", "found 'low', expected a list"),
    ],
)
def test_an_order_that_does_not_name_the_classes(target: str, order: str | None, words: str) -> None:
    changes = [] if order is None else [f"task.order={order}"]
    with pytest.raises(InputError, match=words) as told:
        prepare(frame(target), target, task="ordinal", changes=changes)
    assert f"'{target}'" in str(told.value) or "task.order" in str(told.value)


def test_too_many_ranks_are_a_number() -> None:
    many = pl.DataFrame({"size": np.arange(600.0), "price": np.arange(600) % 150 * 7})
    with pytest.raises(InputError, match=r"150 different values.*--task quantile"):
        prepare(many, "price", task="ordinal")


@pytest.mark.parametrize("task", ["gaussian", "quantile", "mixture"])
def test_text_and_one_value_are_no_numbers(task: str) -> None:
    with pytest.raises(
        InputError, match=rf"--task {task} answers numbers, but the target 'grade' holds text \('\w+' in row 1"
    ):
        prepare(frame("grade"), "grade", task=task)
    with pytest.raises(InputError, match="'same' has one value only"):
        prepare(frame("same"), "same", task=task)


def test_a_source_without_an_answer() -> None:
    with pytest.raises(InputError, match="--task quantile needs a column to answer"):
        prepare(np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8), task="quantile")


def test_an_order_is_of_one_target() -> None:
    both = FRAME.select(
        "size", "stars", "price", (pl.col("price") > 50).alias("dear"), (pl.col("size") > 0).alias("large")
    )
    for target in ("stars,price", "dear,large"):
        with pytest.raises(InputError, match=f"--task ordinal answers one target, found {target.replace(',', ', ')}"):
            prepare(both, target, task="ordinal")
    with pytest.raises(InputError, match="--task classify answers one target"):
        prepare(FRAME.select("size", "stars", "price"), "stars,price", task="classify")
