"""A hub folder of a network that has read much text to a plan that lets it learn the work at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainwell.errors import InputError
from trainwell.models.hub import LAYOUTS, architecture_of, hub_arguments, read_config
from trainwell.plan.profile import Profile
from trainwell.plan.sequences import FEW_CLASSES, FEW_TEXTS
from trainwell.plan.texts import WINDOWS

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

NETWORKS = {"classify": "bert", "regress": "bert", "tag": "bert_tagger", "answer": "bert_tagger"}
LENGTHS = {"classify": 256, "regress": 256, "tag": 128, "answer": 384}  # tokens of a text that are read
ARGUMENTS = ("width", "depth", "heads", "hidden", "context", "dropout")
STEPS, FEWEST, MOST = 1_200, 3, 10  # of fine-tuning; passes over the data
LONG_TEXT = 200  # words, which take some 256 tokens
ALL_WORDS = 2048  # tokens of a long text that are counted
BATCH = 16
EMBEDDING = 3  # stages before the first block: tokens and places, segments, their norm
PASSES, ENOUGH = 2.5, 2  # over few long texts, and how many make it worth while to read more or to move more stages
SPEED = 8e10  # operations a second and thread that such a training comes to where bfloat16 is quick, else half of it


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
    if profile.task == "classify" and (model == "wide_deep" or (model is None and by_all_words(profile))):
        name = "wide_deep"
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
    if name == "wide_deep":
        from_both(profile, plan, folder, sizes)
        return
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
    why = "steps are small enough for what they know of language; transfer.decay=0.85 moves the early ones less"
    plan.choose("transfer", {"weights": str(folder)}, "all stages learn", why)
    epochs = max(FEWEST, min(MOST, round(STEPS * BATCH / max(1, profile.rows))))
    gently(plan, epochs, f"some {STEPS:,} steps from good weights")


def gently(plan: "Plan", epochs: float, why: str) -> None:
    """So many passes in small steps."""
    plan.choose("optimizer", {"name": "adamw", "lr": 3e-4, "weight_decay": 0.01}, "AdamW at 0.0003", "small steps")
    plan.choose(
        "schedule", {"name": "linear", "warmup": 0.1}, "warm-up, then down", "a new head must not shake the rest"
    )
    kept = {key: value for key, value in plan.recipe.train.items() if key == "seconds"}
    settings = {**kept, "epochs": epochs, "batch_size": BATCH, "clip": 1.0, "evaluations": 10, "precision": "auto"}
    plan.choose("train", settings, f"{epochs:g} epochs, batch {BATCH}", why)


def by_all_words(profile: Profile) -> bool:
    """Whether texts are so few and long that their single words say more than weights that see a part of each."""
    few = profile.rows < FEW_TEXTS and profile.labels <= 1 and profile.classes <= FEW_CLASSES
    return few and profile.words >= LONG_TEXT


def from_both(profile: Profile, plan: "Plan", folder: Path, sizes: dict[str, Any]) -> None:
    """All words of a long text by NBSVM, and its beginning and end by the network of a hub folder."""
    reads, still = affordable(profile, sizes)
    reads = min(reads, sizes["context"])
    part = {"name": "wide_deep", **{key: sizes[key] for key in ARGUMENTS if key != "context"}}
    part |= {"positions": sizes["context"], "reads": reads}
    why = f"{profile.rows:,} texts of {profile.words:,.0f} words: all words and pairs of words by NBSVM; "
    why += f"{folder.name}, which has read far more text than this, on the first and last {reads} tokens"
    plan.choose("model", part, "wide_deep, its deep part from weights", why)
    transform = {"tokenizer": str(folder / "tokenizer.json"), "length": ALL_WORDS}
    plan.choose("transform", transform, f"its own tokenizer, {ALL_WORDS:,} tokens", "the weights know no other")
    transfer: dict[str, Any] = {"weights": str(folder), "decay": 0.85}
    if still:
        transfer["freeze"] = EMBEDDING + still
    told = f"all but the first {still} blocks" if still else "all stages, rates by stage"
    why = "the early ones more slowly: what they know of language holds for this text too"
    plan.choose("transfer", transfer, told, "there is no time to move all; the others, " + why if still else why)
    gently(plan, PASSES, "more learn few texts by heart; the training loss is the deep part's alone")


def affordable(profile: Profile, sizes: dict[str, Any]) -> tuple[int, int]:
    """How many tokens of each text are read, and how many blocks keep their weights, so that the time suffices."""
    depth, width = sizes["depth"], sizes["width"]
    forward = 2 * depth * (4 * width**2 + 2 * width * (sizes["hidden"] or 4 * width))  # operations a token
    ladder = ((256, 0), (128, 0), (128, depth // 2))
    if profile.seconds is None or profile.device != "cpu":
        return ladder[0]
    speed = (SPEED if profile.bfloat16 else SPEED / 2) * torch.get_num_threads()
    for reads, still in ladder:
        each = reads * forward * (1 + 2 * (depth - still) / depth)  # back takes twice as long as forth
        if profile.seconds * speed / (max(1, profile.rows) * each) >= ENOUGH:
            return reads, still
    return ladder[-1]
