"""What the plan of texts makes of the time that it is given."""

import dataclasses

import pytest

from trainwell.plan.profile import Profile
from trainwell.plan.rules import propose

TEXT = Profile(
    rows=1_000,
    task="language",
    numbers=0,
    categories=0,
    texts=1,
    images=0,
    sounds=0,
    heavy_tails=0,
    gaps=0,
    many_levels=0,
    classes=0,
    smallest_class=0,
    labels=0,
    target_skew=0.0,
    shape=(),
    locations=[],
    given=frozenset(),
    bfloat16=True,
    device="cpu",
    seconds=None,
    language={"characters": 1_115_394, "different": 65, "pieces": 1_000, "listed": False},
)
PAIRS = dataclasses.replace(
    TEXT, rows=29_000, task="translate", aligned={"from": "en", "to": "de", "pairs": 29_000, "characters": 60}
)


def tokens(recipe, characters):
    """How many tokens a training of that recipe reads."""
    return recipe.train["epochs"] * 0.9 * characters


@pytest.mark.parametrize(("seconds", "larger"), [(None, False), (600.0, False), (3_600.0, True)])
def test_an_hour_of_one_text_is_used_for_a_larger_network(seconds, larger):
    usual = propose(TEXT).recipe
    plan = propose(dataclasses.replace(TEXT, seconds=seconds))
    assert (plan.recipe.model["width"] > usual.model["width"]) == larger
    assert (tokens(plan.recipe, 1_115_394) > 8 * tokens(usual, 1_115_394)) == larger
    assert any("looks further back" in reason.why for reason in plan.reasons) == larger


def test_a_short_text_keeps_its_small_network():
    short = dataclasses.replace(TEXT, language={**TEXT.language, "characters": 228_000})
    assert propose(short).recipe.model == propose(dataclasses.replace(short, seconds=3_600.0)).recipe.model


def test_an_hour_of_pairs_is_used_for_more_passes():
    usual, hour = propose(PAIRS).recipe, propose(dataclasses.replace(PAIRS, seconds=3_600.0)).recipe
    assert hour.train["epochs"] > 2.5 * usual.train["epochs"]
    assert hour.model["dropout"] > usual.model["dropout"]
