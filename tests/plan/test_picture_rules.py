"""What the plan of pictures makes of the time that it is given."""

import dataclasses

import pytest

from trainwell.plan.profile import Profile
from trainwell.plan.rules import propose

PHOTOS = Profile(
    rows=50_000,
    task="classify",
    numbers=0,
    categories=0,
    texts=0,
    images=1,
    sounds=0,
    heavy_tails=0,
    gaps=0,
    many_levels=0,
    classes=10,
    smallest_class=5_000,
    labels=0,
    target_skew=0.0,
    shape=(32, 32, 3),
    locations=[],
    given=frozenset({"test"}),
    bfloat16=True,
    device="cpu",
    seconds=None,
)


@pytest.mark.parametrize(("seconds", "times"), [(None, 1), (600.0, 1), (3_600.0, 3)])
def test_an_hour_is_used_for_more_passes(seconds, times):
    usual = propose(PHOTOS).recipe
    plan = propose(dataclasses.replace(PHOTOS, seconds=seconds))
    assert plan.recipe.train["epochs"] == times * usual.train["epochs"]
    assert plan.recipe.task.get("label_smoothing", 0) == (0.1 if times > 1 else 0)
    assert any("three times" in reason.why for reason in plan.reasons) == (times > 1)


@pytest.mark.parametrize(
    ("change", "mirrored"), [({}, True), ({"shape": (28, 28)}, False), ({"task": "regress"}, False)]
)
def test_only_classes_of_colour_pictures_are_looked_at_twice(change, mirrored):
    assert propose(dataclasses.replace(PHOTOS, **change)).recipe.task.get("mirror", False) == mirrored


def test_few_pictures_get_the_same_plan_in_an_hour():
    few = dataclasses.replace(PHOTOS, rows=3_000)
    assert (
        propose(few).recipe.train["epochs"] == propose(dataclasses.replace(few, seconds=3_600.0)).recipe.train["epochs"]
    )


def test_an_hour_gives_boxes_larger_pictures_and_more_passes():
    boxes = {"share": 0.05, "side": 640, "boxes": 900}
    few = dataclasses.replace(PHOTOS, task="detect", rows=200, boxes=boxes)
    usual, hour = propose(few).recipe, propose(dataclasses.replace(few, seconds=3_600.0)).recipe
    assert usual.transform["size"] == 320 and hour.transform["size"] == 480
    assert hour.train["epochs"] == 2 * usual.train["epochs"]


def test_an_hour_gives_masks_more_passes():
    few = dataclasses.replace(
        PHOTOS, task="segment", rows=400, masks={"width": 200, "height": 200, "shares": [0.5, 0.5]}
    )
    usual, hour = propose(few).recipe, propose(dataclasses.replace(few, seconds=3_600.0)).recipe
    assert hour.train["epochs"] == 2 * usual.train["epochs"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (set(), "20 % test, 10 % validation"),
        ({"test"}, "test as the data gives it, 10 % validation"),
        ({"val"}, "validation as the data gives it, 20 % test"),
        ({"test", "val"}, "test and validation as the data gives them"),
    ],
)
def test_the_split_is_told_as_it_will_be(given, told):
    assert dataclasses.replace(PHOTOS, given=frozenset(given)).divided(0.2, 0.1) == told
