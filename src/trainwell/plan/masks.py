"""A profile of pictures with a class for every pixel to a recipe."""

from typing import TYPE_CHECKING, Any

from trainwell.data.mask_transform import SIDE
from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

STEPS, BATCH = 6_000, 8
RARE, COMMON = 4.0, 0.3  # bounds of a class's weight
FEW = 1_000  # pictures below which the network is small


def from_masks(profile: Profile, plan: "Plan") -> None:
    """Pictures with masks: a U-Net over a small residual network, made robust by moving picture and mask together."""
    rows, facts = profile.rows, profile.masks
    plan.choose("split", {"test": 0.2, "val": 0.15}, profile.divided(0.2, 0.15), f"{rows:,} pictures to learn from")
    width, height = facts.get("width", SIDE), facts.get("height", SIDE)
    factor = -(-max(width, height) // SIDE)
    if factor > 1:
        what = f"{round(width / factor)} x {round(height / factor)}"
        why = f"pictures of {width} x {height} at one {factor}th cost {factor * factor} times less"
        why += "; whole steps keep mask pixels as drawn; --set transform.size= takes another"
        plan.choose("transform", {}, what, why.replace("one 2th", "half"))
    colour = len(profile.shape) == 3 and profile.shape[2] == 3
    network = {"name": "resnet", "depth": 18, "width": 24 if rows < FEW else 32, "stem_stride": 2}
    if max(width, height) <= 64:
        network["stem_stride"] = 1
    why = f"{rows:,} pictures to learn from scratch: 18 residual layers of {network['width']} channels and more, "
    why += "answered at full resolution" if network["stem_stride"] == 1 else "answered at half size, then enlarged"
    plan.choose("model", {"name": "unet", "backbone": network}, "unet over resnet 18", why)
    zoom: dict[str, Any] = {"name": "zoom", "least": 0.7, "most": 1.8}
    steps = [{"name": "flip"}, zoom, {"name": "colour"}] if colour else [{"name": "flip"}, zoom]
    told = f"flip, zoom 0.7 to 1.8{', brightness' if colour else ''}"
    plan.choose("augment", steps, told, "few masks: each is shown at other places and sizes, its mask moved along")
    task: dict[str, Any] = {"name": "segment", "mirror": True}
    weights = class_weights(facts.get("shares", []))
    why = "cross-entropy and Dice; the mean IoU of the validation pictures chooses the checkpoint"
    if weights:
        task["class_weights"] = weights
        rarest = min(facts["shares"])
        why += f"; the rarest class has {100 * rarest:.2g} % of the pixels and weighs {max(weights):.2g}"
    plan.choose("task", task, "segment", f"{why}; answers are averaged with the mirrored picture's")
    optimizer = {"name": "adamw", "lr": 3e-3, "weight_decay": 0.02}
    plan.choose("optimizer", optimizer, "AdamW at 0.003", "norms in every layer let the rate be high")
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "the most learned in few passes")
    wanted = STEPS * (2 if profile.long else 1)
    epochs = max(10, min(300 if profile.long else 150, round(wanted * BATCH / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": BATCH, "ema": 0.998, "evaluations": 15}
    plan.choose("train", settings, f"{epochs} epochs, batch {BATCH}", f"some {wanted:,} steps; averaged weights answer")
    precision = (
        "bfloat16: this hardware multiplies it" if profile.bfloat16 else "float32: this hardware has no bfloat16"
    )
    plan.reasons.append(type(plan.reasons[-1])("precision", precision, "half the memory traffic of large maps"))


def class_weights(shares: list[float]) -> list[float]:
    """The root of how much rarer each class is than the middle one, within bounds; nothing where they are near even."""
    there = sorted(share for share in shares if share > 0)
    if not there or there[-1] < 4 * there[0]:
        return []
    middle = there[len(there) // 2]
    return [round(min(RARE, max(COMMON, (middle / max(share, 1e-9)) ** 0.5)), 2) for share in shares]
