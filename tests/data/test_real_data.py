"""The real sets beside the checkout: what a statistician would say of them."""

import numpy as np
import pytest
import torch

from trainwell.data import Transform, drop_unlabelled, infer, read, split


def kinds(schema) -> dict[str, int]:
    found: dict[str, int] = {}
    for column in schema.inputs:
        found[column.kind] = found.get(column.kind, 0) + 1
    return found


@pytest.mark.parametrize(
    ("name", "target", "rows", "task", "classes", "expected"),
    [
        ("iris", None, 150, "classify", ["Iris-setosa", "Iris-versicolor", "Iris-virginica"], {"number": 4}),
        ("abalone", None, 4177, "regress", [], {"category": 1, "number": 7}),
        ("german-credit", None, 1000, "classify", ["1", "2"], {"category": 14, "number": 6}),
        ("mammography", None, 11183, "classify", ["-1", "1"], {"number": 6}),
        ("horse-colic", None, 300, "classify", ["1", "2"], {"category": 6, "number": 20}),
        ("horse-colic", "column_23", 299, "classify", ["1", "2", "3"], {"category": 7, "number": 19}),
        ("california-housing", "median_house_value", 20640, "regress", [], {"number": 8, "category": 1}),
        ("daily-min-temperatures", None, 3650, "regress", [], {"time": 1}),
        ("ett", "OT", 17420, "regress", [], {"time": 1, "number": 6}),
        ("review-polarity", None, 2000, "classify", ["neg", "pos"], {"text": 1}),
        ("names/names.txt", None, 32033, "language", [], {"text": 1}),
    ],
)
def test_schema(shared, name, target, rows, task, classes, expected):
    source = read(shared / name)
    schema = infer(source, target=target)
    assert (schema.task, schema.classes, schema.rows) == (task, classes, rows)
    assert kinds(schema) == expected
    assert drop_unlabelled(source, schema).rows == rows


def test_details_of_real_columns(shared):
    german = infer(read(shared / "german-credit"))
    assert [column.name for column in german.inputs if column.kind == "number"] == [
        f"column_{place}" for place in (2, 5, 8, 11, 13, 16)
    ]
    horse = infer(read(shared / "horse-colic"))
    assert horse["column_3"].role == "ignored" and "case numbers" in horse["column_3"].reason
    assert horse["column_25"].kind == "category" and horse["column_25"].categories[0] == "00000"
    assert sum(column.missing for column in horse.columns) == 1605
    housing = infer(read(shared / "california-housing"), target="median_house_value")
    assert housing["total_bedrooms"].missing == 207 and housing["ocean_proximity"].unique == 5


@pytest.mark.parametrize("name", ["iris", "abalone", "german-credit", "mammography", "horse-colic"])
@pytest.mark.parametrize("layout", ["columns", "vector"])
def test_tables_encode(shared, name, layout):
    source = read(shared / name)
    schema = infer(source)
    parts = split(source, schema)
    transform = Transform.fit(source, schema, parts.train, layout=layout, numbers="robust")
    for rows in (parts.train, parts.val, parts.test):
        encoded = transform.encode(source, rows)
        assert all(x.isfinite().all() for x in encoded["inputs"]) and len(encoded["target"]) == len(rows)


@pytest.mark.parametrize(("name", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_pictures(shared, name, shape):
    source = read(shared / name, limit=3000)
    schema = infer(source)
    parts = split(source, schema)
    assert (source.parts[parts.test] == "test").all() and schema.task == "classify" and len(schema.classes) == 10
    transform = Transform.fit(source, schema, parts.train, layout="image")
    encoded = transform.encode(source, parts.test)
    assert encoded["inputs"][0].shape == (len(parts.test), *shape) and encoded["inputs"][0].dtype == torch.uint8
    counts = np.bincount(encoded["target"].numpy(), minlength=10)
    assert counts.min() > 0 and len(transform.mean) == shape[0] and not transform.notes


def test_play_is_read_whole(shared):
    source = read(shared / "tinyshakespeare" / "input.txt")
    joined = source.hints["separator"].join(source.frame["text"])
    assert abs(len(joined) - 1_115_394) < 5
