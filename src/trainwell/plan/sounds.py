"""The profile of sounds to a recipe: the rules, each with the reason that it gives."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

FEW_SOUNDS, MANY_SOUNDS = 5_000, 30_000


def from_sounds(profile: Profile, plan: "Plan") -> None:
    """Sounds with a label or a number each: mel bands, convolutions, a recurrent layer, and sounds changed in pace."""
    rows = profile.rows
    test = "the test as the data gives it" if "test" in profile.given else "20 % test"
    why = f"{rows:,} sounds; --group, as --group speaker, keeps each value of a column on one side"
    plan.choose("split", {"test": 0.2, "val": 0.1}, f"{test}, 10 % validation", why)
    plan.choose("transform", {}, "waves at the files' own rate", "16,000 samples a second at most, one channel")
    many = rows >= MANY_SOUNDS
    model: dict[str, Any] = {"name": "crnn", "features": "log_mel"}
    if many:
        model |= {"widths": [48, 96, 144, 192], "width": 128}
    why = f"{rows:,} sounds: few weights, which see 40 mel bands every 10 ms; SpecAugment hides parts of them"
    plan.choose("model", model, "crnn on log-mel bands", why)
    changes = [{"name": "pace", "most": 0.15}, {"name": "trim", "share": 0.1}, {"name": "hiss", "most": 0.02}]
    why = "another pace moves pitch too, as another voice does; ends are cut and noise is added, as recordings differ"
    plan.choose("augment", changes, "pace 15 %, ends cut, hiss", why)
    optimizer = {"name": "adamw", "lr": 3e-3, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, "AdamW at 0.003", "norms in every layer let the rate be high")
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "the most learned in few passes")
    epochs = 40 if rows < FEW_SOUNDS else 30 if not many else 15
    batch = 32 if rows < FEW_SOUNDS // 5 else 64 if not many else 128
    settings = {"epochs": epochs, "batch_size": batch, "ema": 0.998 if rows < FEW_SOUNDS else 0.999}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"{rows:,} sounds; averaged weights answer")
