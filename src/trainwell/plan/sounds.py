"""The profile of sounds to a recipe: the rules, each with the reason that it gives."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

FEW_SOUNDS, MANY_SOUNDS = 5_000, 30_000
STEPS = 4_000  # that a recognizer learns in


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


def from_speech(profile: Profile, plan: "Plan") -> None:
    """Sounds beside what is said in them: the same network, read step by step by CTC."""
    rows = profile.rows
    plan.choose("split", {"test": 0.1, "val": 0.1}, "10 % test, 10 % validation", f"{rows:,} sounds with their texts")
    why = "each sound has a text and no times: CTC sums over all ways to lay one along the other"
    plan.choose("task", {"name": "recognize", "beams": 8}, "recognize, 8 beams", why)
    plan.choose(
        "transform", {}, "waves at the files' own rate, characters", "the alphabet is that of the training texts"
    )
    many = rows >= MANY_SOUNDS
    model: dict[str, Any] = {"name": "speech_crnn", "width": 256 if many else 96}
    plan.choose("model", model, "speech_crnn on log-mel bands", f"{rows:,} sounds: a step every 20 ms, few weights")
    changes = [{"name": "pace", "most": 0.1}, {"name": "hiss", "most": 0.02}]
    plan.choose("augment", changes, "pace 10 %, hiss", "another pace moves pitch too, as another voice does")
    optimizer = {"name": "adamw", "lr": 2e-3, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, "AdamW at 0.002", "norms in every layer let the rate be high")
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "CTC says nothing but blanks at first, until it starts")
    batch = 16 if rows < FEW_SOUNDS else 32
    epochs = max(15, min(60, round(STEPS * batch / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": batch, "precision": "float32", "clip": 5.0}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"some {STEPS:,} steps, 60 passes at most")
