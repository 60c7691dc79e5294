"""The profile of pictures that are to be told apart to a recipe: the rules, each with the reason that it gives."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

LARGEST, GREY = 112, 64  # pixels of the longer side, as faces are compared at; of grey pictures, mostly signs
SEEN = 30_000  # pictures in all that a network from scratch is shown


def from_likeness(profile: Profile, plan: "Plan") -> None:
    """Pictures of many things, few of each: directions learned with a margin, judged on things never seen."""
    rows, classes = profile.rows, profile.classes
    column = profile.target
    plan.choose(
        "split",
        {"method": "group", "group": column, "test": 0.25, "val": 0.1},
        f"by {column}: 25 % of the {classes:,} classes to judge by, 10 % to choose by",
        "what is asked is whether it tells apart what it never saw, so no class is on two sides",
    )
    side = max(profile.shape[:2] or (LARGEST,))
    colour = len(profile.shape) == 3 and profile.shape[2] == 3
    size = min(side, LARGEST if colour else GREY)
    plan.choose("transform", {"size": size}, f"pictures of {size} pixels", f"the data's are of {side}")
    shift: dict[str, Any] = {"name": "shift", "pixels": max(1, size // 14), "fill": "reflect" if colour else "zero"}
    first = {"name": "flip"} if colour else {"name": "rotation", "degrees": 10.0}
    augment = [first, {"name": "colour"}, shift] if colour else [first, {"name": "crop", "least": 0.7}]
    names = ", ".join(str(each["name"]) for each in augment)
    plan.choose("augment", augment, names, f"some {rows // max(1, classes):,} pictures of each class are few")
    stride = 4 if size > 96 else 2 if size > 48 else 1
    plan.choose(
        "model",
        {"name": "embedder", "backbone": {"name": "resnet", "depth": 18, "width": 32, "stem_stride": stride}},
        "a half-wide resnet18 to 128 numbers",
        "pictures of one thing are to point the same way",
    )
    plan.choose(
        "task", {"name": "likeness"}, "likeness, arcface", "a margin between classes leaves room for those never seen"
    )
    optimizer = {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05}
    plan.choose("optimizer", optimizer, "AdamW at 0.001", "from scratch, with a norm in every layer")
    plan.choose("schedule", {"name": "cosine"}, "warm-up, then cosine", "needs no tuning")
    epochs = max(10, min(60, round(SEEN / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": 64, "evaluations": 12, "ema": 0.998}
    plan.choose("train", settings, f"{epochs} epochs, batch 64", f"some {SEEN:,} pictures shown")
