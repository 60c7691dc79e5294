"""A recipe goes to YAML and back, is checked against the signatures it names, and says what is wrong with it."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainwell.errors import InputError, suggest
from trainwell.recipe import VERSION, Recipe, _Loader, build, check, choices, named, seconds

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
KEYS = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.dictionaries(KEYS, PLAIN, max_size=4)
RECIPES = st.builds(
    Recipe,
    source=WORDS,
    target=st.none() | WORDS,
    types=st.dictionaries(KEYS, WORDS, max_size=3),
    model=PARTS,
    optimizer=PARTS,
    train=PARTS,
    augment=st.lists(PARTS, max_size=2),
    seed=st.integers(0, 2**31),
)


@settings(max_examples=40)
@given(RECIPES)
@example(Recipe(target="1e5", model={"a": "\x85", "b": "\u2028", "c": "no", "d": "2024-01-01", "e": "0x1"}))
def test_yaml_and_back(recipe):
    text = recipe.to_yaml()
    assert Recipe.from_dict(yaml.load(text, Loader=_Loader)) == recipe


@settings(max_examples=20)
@given(RECIPES)
def test_file_and_back(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert Recipe.load(path) == recipe


def test_numbers_of_numpy_and_paths_are_written_plainly():
    part = {
        "lr": np.float32(0.5),
        "depth": np.int64(3),
        "widths": (np.int64(1), 2),
        "edges": np.arange(2),
        "at": Path("a/b"),
    }
    recipe = Recipe.from_dict(yaml.safe_load(Recipe(model=part).to_yaml()))
    assert recipe.model == {"lr": 0.5, "depth": 3, "widths": [1, 2], "edges": [0, 1], "at": "a/b"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "did you mean 'model'"),
        ({1: 2}, "unknown key 1"),
        ({"seed": "many"}, "seed: found 'many', expected int"),
        ({"model": ["mlp"]}, "model: found"),
        ({"model": "mlp"}, "expected dict"),
        ({"types": {"age": 3}}, "types: found"),
        ({"version": VERSION + 1}, "update trainwell"),
        ({"version": "new"}, "version new"),
        (["model"], "found list"),
        (None, "found NoneType"),
        ("model", "found str"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(InputError, match=message):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {name: mlp", "not valid YAML"),
        ("a: b: c", "line 1"),
        ("model:\n\t- x", "line 2"),
        ("", "found NoneType"),
        ("seed: 2024-13-45", "not valid YAML"),  # a date that is none
        ("model: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("[" * 1500, "not valid YAML"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Recipe.load(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match="no-such"):
        Recipe.load(tmp_path / "no-such.yaml")
    with pytest.raises(InputError, match="cannot read"):
        Recipe.load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("source: caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml"):
        Recipe.load(tmp_path / "latin.yaml")


def test_a_recipe_runs_no_code(tmp_path):
    marker = tmp_path / "ran"
    for text in (
        f"model: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]",
        f"model: !!python/object/new:os.system ['touch {marker}']",
        "model: !!python/name:os.system",
    ):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        with pytest.raises(InputError):
            Recipe.load(path)
        with pytest.raises(InputError):
            Recipe().set(f"model.name={text.removeprefix('model: ')}")
    assert not marker.exists()


def test_set_changes_one_value():
    recipe = Recipe(model={"name": "mlp", "width": 8, "head": {"depth": 1}})
    changed = recipe.set("model.width=512").set("model.head.depth=2").set("seed=7").set("optimizer.lr=1e-3")
    assert changed.model == {"name": "mlp", "width": 512, "head": {"depth": 2}}
    assert (changed.seed, changed.optimizer) == (7, {"lr": 0.001}) and isinstance(changed.optimizer["lr"], float)
    assert recipe.model["width"] == 8 and recipe.model["head"] == {"depth": 1}  # a copy
    assert recipe.set("model.blocks=[1, 2]").model["blocks"] == [1, 2]
    assert recipe.set("target=a=b").target == "a=b"
    assert recipe.set("model={name: vgg}").model == {"name": "vgg"}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.width", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("model.=3", "expected KEY=VALUE"),
        ("modle.width=3", "did you mean 'model'"),
        ("model.head.depth=3", "no part 'head'"),
        ("model.width={3", "not a YAML value"),
        ("seed=2001-99-99", "not a YAML value"),
        ("wdith=3", "unknown key 'wdith'"),
        ("seed=some", "expected int"),
        ("version=99", "update trainwell"),
    ],
)
def test_set_says_what_is_wrong(assignment, message):
    with pytest.raises(InputError, match=message) as caught:
        Recipe(model={"name": "mlp"}).set(assignment)
    assert f"--set {assignment}" in str(caught.value)


@pytest.mark.parametrize("text", ["1e-3", "1E5", "-2e+4", "1.5e3", "3.e2"])
def test_numbers_with_exponents_are_numbers(text):
    assert Recipe().set(f"model.x={text}").model["x"] == float(text)


@given(st.text(max_size=30))
def test_any_text_is_set_or_refused(text):
    try:
        Recipe().set(f"model.x={text}")
    except InputError as error:
        assert "--set" in str(error)


class Net:
    """Something to build."""

    def __init__(
        self,
        features: int,
        outputs: int = 1,
        *,
        width: int = 8,
        rate: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.99),
        kind: Literal["plain", "deep"] = "plain",
        sizes: Sequence[int] = (),
        name_of: str | None = None,
    ) -> None:
        if width % 8:
            raise ValueError("width has to be a multiple of 8")
        if kind == "deep":
            raise KeyError(width)
        assert width > 0, "no width"
        self.arguments = (features, outputs, width, rate, betas, sizes, name_of)


TABLE = {"net": Net, "other": Net}


def test_a_signature_is_the_schema():
    assert set(choices(Net)) == {"width", "rate", "betas", "kind", "sizes", "name_of"}
    part = {
        "name": "net",
        "width": 16,
        "rate": 1,
        "betas": [0.5, 0.6],
        "sizes": [1, 2],
        "kind": "deep",
        "name_of": None,
    }
    checked = check(part, Net, "model")
    assert checked["betas"] == (0.5, 0.6) and isinstance(checked["rate"], float) and "name" not in checked
    assert check({"rate": "1e-3"}, Net, "model") == {"rate": 0.001}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"widht": 3}, r"model: unknown argument 'widht'; did you mean 'width'"),
        ({"features": 3}, "unknown argument 'features'"),  # the data decides it
        ({"width": "wide"}, r"model\.width: found 'wide', expected int"),
        ({"width": 2.5}, "expected int"),
        ({"betas": [0.1]}, r"model\.betas: found"),
        ({"kind": "wide"}, "plain"),
        ({"sizes": 3}, "Sequence"),
    ],
)
def test_ill_typed_arguments_are_named(part, message):
    with pytest.raises(InputError, match=message):
        check(part, Net, "model")


def test_build_takes_from_the_data_what_the_data_decides():
    assert build({"name": "net", "width": 16}, TABLE, "model", {"features": 3, "unused": 1}).arguments[:3] == (3, 1, 16)
    assert build({"name": "net"}, TABLE, "model", {"features": 3, "outputs": 5}).arguments[:2] == (3, 5)
    with pytest.raises(InputError, match=r"needs 'features'.*channels.*trainwell models"):
        build({"name": "net"}, TABLE, "model", {"channels": 3})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"name": "nett"}, "did you mean 'net'"),
        ({"name": ["net"]}, "unknown name"),
        ({}, "model: has no name"),
        ({"name": "net", "width": 3}, "net refuses width=3: width has to be a multiple of 8"),
        ({"name": "net", "kind": "deep"}, "there is no 8"),
        ({"name": "net", "width": -8}, "no width"),
    ],
)
def test_build_says_what_is_wrong(part, message):
    with pytest.raises(InputError, match=message):
        build(part, TABLE, "model", {"features": 3})


def test_named_and_suggest():
    assert named({"name": "net"}, TABLE, "model") is Net
    assert suggest("widht", ["width", "depth"]) == "did you mean 'width'?"
    assert suggest("zzz", ["width", "depth"]) == "known: depth, width"
    assert suggest("zzz", map(str, range(99))).endswith("...")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("45", 45), (2.5, 2.5), (None, None), ("0.5h", 1800), ("1m30s", 90)],
)
def test_times(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "10 minutes", "-5", "0", 0, -1, "m", float("nan"), float("inf")])
def test_times_that_are_none(text):
    with pytest.raises(InputError, match="time"):
        seconds(text)
