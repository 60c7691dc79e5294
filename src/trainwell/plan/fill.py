"""The profile of text without labels to a recipe for a network that fills its holes: BERT's task, or T5's."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile
from trainwell.plan.sequences import split_text

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

FILLERS = {"bert": ("masked_language", "masked_bert"), "masked_bert": ("masked_language", "masked_bert")}
FILLERS |= {"t5": ("span_corruption", "t5")}
STEPS, BATCH, CONTEXT = 3_000, 32, 128
MUCH_TEXT, MOST = 5_000_000, 60  # characters; passes over the text
SHORTEST = 32  # tokens of a window: in shorter ones T5 hides a single stretch, which always lies at the end
LETTERS = 4  # of a piece of a word, about


def filler_of(kind: str | None, model: Any, *, told: bool) -> tuple[str | None, Any]:
    """The task and the network that a network's name stands for where there is text alone: BERT and T5 fill holes.

    told: the user named the task, which is kept. model: a name, a network of the user's own, which stays, or None.
    """
    if not isinstance(model, str):
        return kind, model
    task, network = FILLERS.get(model, (None, model))
    if kind == task or (kind == "language" and task and not told):
        return task, network
    return kind, model


def from_holes(profile: Profile, plan: "Plan") -> None:
    """Text without labels whose holes are filled: a small BERT for words, a small T5 for stretches."""
    text, masked = profile.language, profile.task == "masked_language"
    characters = text["characters"]
    split_text(profile, plan)
    what = "15 % of the pieces are hidden" if masked else "stretches of three pieces, 15 % in all, are hidden"
    plan.choose("task", {"name": profile.task}, profile.task.replace("_", " "), f"{what}; others at each pass")
    vocabulary = 8_000 if characters >= MUCH_TEXT else 2_000
    kind = "wordpiece" if masked else "bpe"
    why = f"{characters:,} characters: words and pieces of words, small letters alone" if masked else "pieces of words"
    plan.choose("transform", {"tokenizer": kind, "vocabulary": vocabulary}, f"{kind}, {vocabulary:,} at most", why)
    tokens = max(1.0, 0.9 * characters / LETTERS)
    context = int(max(SHORTEST, min(CONTEXT, tokens // 20)))
    model: dict[str, Any] = {"name": "masked_bert", "width": 128, "depth": 4, "heads": 4, "context": context}
    if not masked:
        model = {"name": "t5", "width": 128, "depth": 3, "heads": 4, "head_width": 32, "hidden": 512}
        plan.recipe.task["context"] = context
    passes = STEPS * BATCH * context / tokens
    model["dropout"] = 0.1
    why = "small, for text of this size; weights learned elsewhere know far more"
    plan.choose("model", model, f"{model['name']}, {model['width']} wide", why)
    optimizer = {"name": "adamw", "lr": 1e-3 if masked else 2e-3, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, f"AdamW at {optimizer['lr']:g}", "as usual for small networks that attend")
    plan.choose("schedule", {"name": "cosine", "warmup": 0.1}, "warm-up, then cosine", "attention learns late")
    epochs = round(min(MOST, max(0.01, passes)), 2)
    settings = {"epochs": epochs, "batch_size": BATCH, "evaluations": 10, "clip": 1.0, "precision": "float32"}
    choice = f"{epochs:g} passes, batch {BATCH}"
    plan.choose("train", settings, choice, f"some {STEPS:,} steps, {MOST} passes at most; --time gives it more or less")
