"""A hub folder of a network that has read much text to a plan that lets it learn the work at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.errors import InputError
from trainwell.models.hub import LAYOUTS, architecture_of, hub_arguments, read_config
from trainwell.plan.profile import Profile
from trainwell.plan.texts import WINDOWS

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

NETWORKS = {"classify": "bert", "regress": "bert", "tag": "bert_tagger", "answer": "bert_tagger"}
LENGTHS = {"classify": 256, "regress": 256, "tag": 128, "answer": 384}  # tokens of a text that are read
ARGUMENTS = ("width", "depth", "heads", "hidden", "context", "dropout")
STEPS, FEWEST, MOST = 1_200, 3, 10  # of fine-tuning; passes over the data


def is_reader(weights: str | None) -> bool:
    """Whether weights lie in a hub folder of a BERT."""
    folder = Path(weights or "")
    if not weights or not (folder / "config.json").is_file():
        return False
    name = architecture_of(read_config(folder), folder)
    return LAYOUTS[name].model.__name__.startswith("Bert")


def from_reader(profile: Profile, plan: "Plan", weights: str, model: str | None) -> None:
    """The network of a hub folder with its own tokenizer and a new head, and a few gentle passes.

    Raises InputError for work that such a network does not do, and a folder without its tokenizer.
    """
    folder = Path(weights).absolute()
    name = NETWORKS.get(profile.task)
    if name is None or model not in (None, name):
        known = ", ".join(sorted(NETWORKS))
        wanted = f"--model {model}" if name else f"the task {profile.task}"
        raise InputError(f"--weights {weights}: a BERT, which does not serve {wanted}; it serves {known}")
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise InputError(f"{tokenizer}: not found; weights for text need the tokenizer that they were learned with")
    void = ("model", "transform", "optimizer", "schedule", "train")
    plan.reasons = [each for each in plan.reasons if each.key not in void]
    sizes = hub_arguments(folder)
    part: dict[str, Any] = {"name": name, **{key: sizes[key] for key in ARGUMENTS}}
    why = f"{folder.name}: {sizes['depth']} blocks, {sizes['width']} wide, that have read far more text than this"
    plan.choose("model", part, f"{name} from weights", why)
    length = min(LENGTHS[profile.task], sizes["context"])
    plan.choose(
        "transform",
        {"tokenizer": str(tokenizer), "length": length},
        f"its own tokenizer, {length} tokens",
        "the weights know no other; "
        + (WINDOWS if profile.task == "answer" else "transform.length reads more of each text"),
    )
    transfer = {"weights": str(folder), "decay": 0.85}
    why = "all stages learn, the early ones more slowly: what they know of language holds for this text too"
    plan.choose("transfer", transfer, "all stages, rates by stage", why)
    plan.choose("optimizer", {"name": "adamw", "lr": 3e-4, "weight_decay": 0.01}, "AdamW at 0.0003", "small steps")
    plan.choose(
        "schedule", {"name": "linear", "warmup": 0.1}, "warm-up, then down", "a new head must not shake the rest"
    )
    batch = 16
    epochs = max(FEWEST, min(MOST, round(STEPS * batch / max(1, profile.rows))))
    kept = {key: value for key, value in plan.recipe.train.items() if key == "seconds"}
    settings = {**kept, "epochs": epochs, "batch_size": batch, "clip": 1.0, "evaluations": 10, "precision": "auto"}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"some {STEPS:,} steps from good weights")
