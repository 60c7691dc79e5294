"""What the plan of texts makes of the time that it is given."""

import dataclasses
import json

import pytest
import torch

from trainwell.errors import InputError
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


REVIEWS = dataclasses.replace(TEXT, rows=1_800, task="classify", classes=2, words=750.0, language={})


@pytest.fixture
def minilm(tmp_path):
    """What a plan reads of a hub folder of MiniLM's size: its configuration, and that there is a tokenizer."""
    sizes = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
    sizes |= {"vocab_size": 30_522, "max_position_embeddings": 512, "model_type": "bert", "hidden_act": "gelu"}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "tokenizer.json").write_text("{}")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("different", "name"),
    [
        ({}, "wide_deep"),
        ({"words": 60.0}, "bert"),
        ({"rows": 50_000}, "bert"),
        ({"classes": 90}, "bert"),
        ({"task": "regress", "classes": 0}, "bert"),
    ],
)
def test_weights_are_joined_by_all_words_where_texts_are_few_and_long(minilm, different, name):
    plan = propose(dataclasses.replace(REVIEWS, **different), weights=minilm)
    assert plan.recipe.model["name"] == name
    assert plan.recipe.transform["length"] == (2048 if name == "wide_deep" else 256)


def test_a_network_that_is_named_is_kept(minilm):
    assert propose(REVIEWS, "bert", weights=minilm).recipe.model["name"] == "bert"
    short = dataclasses.replace(REVIEWS, words=60.0)
    assert propose(short, "wide_deep", weights=minilm).recipe.model["name"] == "wide_deep"
    with pytest.raises(InputError, match="does not serve --model nbsvm"):
        propose(REVIEWS, "nbsvm", weights=minilm)


def test_little_time_is_spent_on_less_of_each_text_and_fewer_blocks(minilm, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    def chosen(**different):
        recipe = propose(dataclasses.replace(REVIEWS, **different), weights=minilm).recipe
        return recipe.model["reads"], recipe.transfer.get("freeze", 0)

    assert chosen() == (256, 0)
    assert chosen(seconds=300.0) == (128, 6)
    assert chosen(seconds=450.0) == (128, 0)
    assert chosen(seconds=900.0) == (256, 0)
    assert chosen(seconds=900.0, bfloat16=False) == (128, 0)
    assert chosen(seconds=300.0, rows=200) == (256, 0)
