"""The profile of pictures with boxes to a recipe: the rules, each with the reason that it gives."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

WANTED = 16  # pixels of the shorter side of the smallest class, two places of the finest map
SMALLEST, LARGEST, MULTIPLE = 192, 640, 32  # pixels of the longer side of a picture
SEEN = 15_000  # pictures in all that a network from scratch is shown


def from_boxes(profile: Profile, plan: "Plan") -> None:
    """Pictures with boxes: a detector without anchors, on pictures just large enough for the smallest class."""
    rows, boxes = profile.rows, profile.boxes
    plan.choose("split", {"test": 0.2, "val": 0.1}, profile.divided(0.2, 0.1), f"{rows:,} pictures to learn from")
    pixels, seen = (WANTED * 3 // 2, 2 * SEEN) if profile.long else (WANTED, SEEN)
    wanted = pixels / max(boxes["share"], 1e-3)
    size = min(LARGEST, max(SMALLEST, wanted), max(SMALLEST, boxes["side"]))
    size = MULTIPLE * -(-round(size) // MULTIPLE)
    small = boxes["share"] * size
    why = f"things of the smallest class then measure some {small:.0f} pixels, {small / 8:.0f} places of the finest map"
    if small < WANTED - 1:
        why = f"things of the smallest class measure only {small:.0f} pixels so; transform.size=... enlarges them"
    plan.choose("transform", {"size": size}, f"pictures of {size} pixels, whole", why)
    augment: list[dict[str, Any]] = [{"name": "flip"}, {"name": "crop", "least": 0.5}, {"name": "colour"}]
    plan.choose("augment", augment, "flip, crop, colour", f"{rows:,} pictures are few: boxes move with them")
    plan.choose(
        "model",
        {"name": "fcos", "backbone": {"name": "resnet", "depth": 18, "width": 32}},
        "fcos over a half-wide resnet18",
        f"{boxes['boxes']:,} boxes of {profile.classes} classes: no anchors to tune, small enough to learn anew",
    )
    plan.choose("task", {"name": "detect"}, "detect", "the target holds boxes; the mAP at overlap 0.5 is to rise")
    plan.choose(
        "optimizer",
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05},
        "AdamW at 0.001",
        "from scratch, with a norm in every layer",
    )
    plan.choose("schedule", {"name": "cosine"}, "warm-up, then cosine", "the first boxes are far off")
    epochs = max(10, min(150, round(seen / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": 8, "evaluations": 12, "ema": 0.998, "clip": 10.0}
    why = f"some {seen:,} pictures shown; averaged weights answer, the best of 12 looks stays"
    plan.choose("train", settings, f"{epochs} epochs, batch 8", why)
