"""Masked words and corrupted spans from a file of text to a run that fills holes, and its weights in transformers."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import trainwell as tw
from trainwell.errors import InputError
from trainwell.models.hub import save_hub
from trainwell.sample import sampled
from trainwell.tasks import MaskedLanguage, SpanCorruption

pytest.importorskip("tokenizers")
# A context of two or three sentences exactly would teach places instead of words.
SMALL = ["model.dropout=0.0", "model.depth=1", "model.heads=2", "transform.vocabulary=330"]
SIZES = {
    "bert": [*SMALL, "model.width=64", "model.context=16", "optimizer.lr=0.003", "train.batch_size=32"],
    "t5": [*SMALL, "model.width=32", "model.head_width=16", "model.hidden=64", "task.context=40", "optimizer.lr=0.005",
           "train.batch_size=16"],
}  # fmt: skip


FACTS = {
    "cat": ("sleeps", "mat"),
    "dog": ("barks", "yard"),
    "king": ("rules", "land"),
    "fish": ("swims", "lake"),
    "child": ("plays", "park"),
    "cook": ("bakes", "house"),
}


def corpus(path: Path, lines: int = 1500) -> Path:
    """Sentences whose verb and place follow from who acts, so that a hole can be filled by what stands around it."""
    random = np.random.default_rng(0)
    names = random.choice(list(FACTS), lines)
    path.write_text("".join(f"the {each} {FACTS[each][0]} in the {FACTS[each][1]} . " for each in names))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("filling")
    source = corpus(folder / "corpus.txt")
    return {
        model: tw.fit(
            source,
            model=model,
            changes=[*SIZES[model], f"train.epochs={epochs}"],
            out=folder / model,
            quiet=True,
            doctor=None,
        )
        for model, epochs in (("bert", 22), ("t5", 25))
    }


@pytest.mark.parametrize(("model", "task"), [("bert", MaskedLanguage), ("t5", SpanCorruption)])
def test_a_name_chooses_the_task_and_counting_is_beaten(runs: dict, model: str, task: type) -> None:
    run = runs[model]
    assert type(run.task) is task
    evaluation, (counting,) = (run.folder.read_json(name) for name in ("evaluation.json", "baselines.json"))
    nats = evaluation["metrics"]["nats"]
    assert nats["high"] < counting["metrics"]["nats"] - 0.5
    assert evaluation["metrics"]["accuracy"]["low"] > counting["metrics"]["accuracy"]
    assert evaluation["sentence"] in (run.path / "report.html").read_text().replace("&#39;", "'")
    assert len(evaluation["samples"]) == 3 and "there stood" in evaluation["samples"][0]


@pytest.mark.parametrize("model", ["bert", "t5"])
def test_a_run_that_is_loaded_again_fills_the_same(runs: dict, model: str, tmp_path: Path) -> None:
    run = runs[model]
    again = tw.load(run.path)
    frame = pl.DataFrame({"text": ["the cat [MASK] in the mat .", "the dog barks in the [MASK] ."]})
    assert run.predict(frame).tolist() == again.predict(frame).tolist()
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])


def test_a_hole_is_filled_by_what_stands_around_it(runs: dict) -> None:
    texts = [f"the {name} [MASK] in the {place} . the dog barks in" for name, (_, place) in FACTS.items()]
    found = runs["bert"].predict(pl.DataFrame({"text": texts}))
    verbs = {verb for verb, _ in FACTS.values()}  # the commonest word of all is "the"
    assert sum(text.split()[2] in verbs for text in found) >= 5


def test_a_prompt_is_filled_and_other_words_are_offered(runs: dict) -> None:
    prompt = "the king [MASK] in the land . the [MASK]"
    filled = runs["bert"].predict(pl.DataFrame({"text": [prompt]}))[0]
    said = "".join(sampled(runs["bert"].path, {"prompt": prompt})).splitlines()
    first, second = (line.split(": ")[1].split(", ") for line in said[1:])
    best = [each[0].rsplit(" ", 1)[0] for each in (first, second)]
    assert said[0] == filled == prompt.replace("[MASK]", best[0], 1).replace("[MASK]", best[1])
    assert len(first) == 5 and all(offer.endswith("%") for offer in first)


@pytest.mark.parametrize("model", ["bert", "t5"])
def test_what_cannot_be_filled_is_named(runs: dict, model: str) -> None:
    path = runs[model].path
    for wishes, message in (
        ({}, "give --prompt"),
        ({"prompt": "no hole"}, "nothing to fill in"),
        ({"prompt": "[MASK]", "temperature": 0.5}, "--temperature"),
        ({"prompt": "the cat " * 40 + "[MASK]"}, "tokens, the network reads"),
    ):
        with pytest.raises(InputError, match=message):
            list(sampled(path, wishes))
    with pytest.raises(InputError, match="text 2"):
        runs[model].predict(pl.DataFrame({"text": ["the [MASK]", "none"]}))


def test_the_weights_open_in_transformers(runs: dict, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for model, name in (("bert", "BertForMaskedLM"), ("t5", "T5ForConditionalGeneration")):
        own = runs[model].model.eval()
        save_hub(own, tmp_path / model)
        theirs = getattr(transformers, name).from_pretrained(tmp_path / model).eval()
        tokens = torch.randint(2, runs[model].task.vocabulary, (2, 11), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            if model == "bert":
                wanted, found = theirs(input_ids=tokens).logits, own(tokens)
            else:
                wanted, found = (
                    theirs(input_ids=tokens, decoder_input_ids=tokens[:, :5]).logits,
                    own(tokens, tokens[:, :5]),
                )
        assert torch.allclose(found, wanted, atol=1e-4)


def test_the_task_can_be_told_and_a_network_that_cannot_fill_is_named(tmp_path: Path) -> None:
    source = corpus(tmp_path / "corpus.txt", 300)
    quick = dict(quiet=True, details=False, doctor=None)
    changes = [*SIZES["bert"], "train.epochs=0.1"]
    run = tw.fit(source, task="masked_language", changes=changes, out=tmp_path / "a", **quick)
    assert type(run.task) is MaskedLanguage and run.recipe.model["name"] == "masked_bert"
    assert tw.load(run.path).recipe.task["name"] == "masked_language"
    with pytest.raises(InputError, match="t5 and transformer do"):
        tw.fit(source, task="span_corruption", model="gpt", out=tmp_path / "b", **quick)
