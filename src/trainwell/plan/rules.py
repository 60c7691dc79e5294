"""A profile to a recipe: the rules, each with the reason that it gives."""

from dataclasses import dataclass, field
from typing import Any

from trainwell.errors import InputError
from trainwell.plan.profile import Profile
from trainwell.recipe import Recipe

STEPS, FEWEST_STEPS = 5_000, 400  # of a network that no rule knows; of any table
FEW_PICTURES, MANY_PICTURES = 5_000, 20_000
TINY_SIDE = 16  # pixels
LEAST_ROWS, FEW_ROWS, SOME_ROWS, MANY_ROWS = 200, 2_000, 15_000, 50_000  # of a table


@dataclass
class Reason:
    """One choice and why it was made, in words, with the figure that it rests on."""

    key: str
    choice: str
    why: str


@dataclass
class Plan:
    """A recipe and the reasons of its choices."""

    recipe: Recipe
    reasons: list[Reason] = field(default_factory=list)

    def choose(self, key: str, part: Any, choice: str, why: str) -> None:
        """Set a part of the recipe and say why."""
        setattr(self.recipe, key, part)
        self.reasons.append(Reason(key, choice, why))


def propose(profile: Profile, model: str | None = None, task: str | None = None) -> Plan:
    """The recipe for this profile; a model or task that its user names is kept, and the rest planned around it.

    Raises InputError for data that no rule covers.
    """
    if profile.task not in ("classify", "regress") and task is None:
        raise InputError(
            f"this data asks for the task {profile.task!r}, which has no plan yet; name a target column with --target, "
            "or a task and a model with --task and --model"
        )
    plan = Plan(Recipe())
    if profile.images:
        from_pictures(profile, plan)
    else:
        from_table(profile, plan, folds=folds_of(profile, model))
    if model is not None and model != plan.recipe.model.get("name"):
        plan.choose("model", {"name": model}, model, "named by the user")
        plain(profile, plan)
    if task is not None and task != profile.task:
        plan.choose("task", {"name": task}, task, "named by the user")
    if profile.seconds is not None:
        plan.recipe.train["seconds"] = profile.seconds
        why = "the time that was given; the schedule ends with it"
        plan.reasons.append(Reason("train", f"{profile.seconds:.0f} s", why))
    return plan


def folds_of(profile: Profile, model: str | None) -> int:
    """How many folds the rows of a table go into: 0 where there are many, or a network without members was named."""
    if model not in (None, "tabm") or profile.rows >= MANY_ROWS:
        return 0
    return 8 if LEAST_ROWS <= profile.rows < FEW_ROWS else 4


def from_table(profile: Profile, plan: Plan, folds: int) -> None:
    """Columns of numbers and categories: an ensemble in one network, its groups taking turns at being held out."""
    numbers, rows = profile.numbers, profile.rows
    if folds and "val" not in profile.given:
        plan.choose(
            "split",
            {"test": 0.2, "val": 0.0, "folds": folds},
            f"20 % test, {folds} folds",
            f"{rows:,} rows: none is given away for validation, as each group of members leaves out another fold",
        )
    else:
        folds = 0
        why = (
            f"{rows:,} rows are enough to hold some out" if rows >= MANY_ROWS else "one network has one validation part"
        )
        plan.choose("split", {"test": 0.2, "val": 0.15}, "20 % test, 15 % validation", why)
    transform: dict[str, Any] = {"numbers": "quantile"}
    why = f"{numbers} number columns, {profile.heavy_tails} with heavy tails: quantiles bring each to a normal shape"
    if profile.locations:
        transform["locations"] = profile.locations
        pairs = "; ".join(" and ".join(pair) for pair in profile.locations)
        why += f"; {pairs} are a place, seen along four more directions"
    plan.choose("transform", transform, "quantile", why)
    if profile.gaps:
        plan.reasons.append(Reason("transform", "median and a flag", f"{profile.gaps} columns have missing cells"))
    few, some = rows < FEW_ROWS, rows < SOME_ROWS
    model: dict[str, Any] = {
        "name": "tabm",
        "members": 16 if few else 8,
        "width": 256,
        "depth": 2,
    }
    model |= {"dropout": 0.3 if few else 0.1 if some else 0.0, "bins": 48 if some else 96}
    kinds = f"{numbers} number and {profile.categories} category columns, {rows:,} rows"
    why = f"{kinds}: numbers embedded piecewise, an ensemble in one network, dropout {model['dropout']}"
    plan.choose("model", model, f"tabm, {model['members']} members", why)
    rate = 2e-3 if some else 4e-3
    optimizer = {"name": "adamw", "lr": rate, "weight_decay": 0.3, "betas": [0.9, 0.99]}
    plan.choose("optimizer", optimizer, f"AdamW at {rate}, decay 0.3", "members share their matrices, which bear decay")
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    batch = 32 if rows < 500 else 64 if few else 128 if rows < 5_000 else 256 if rows < MANY_ROWS else 1024
    epochs = max(32, round(FEWEST_STEPS * batch / rows)) if few else 24 if some else 30
    settings = {"epochs": epochs, "batch_size": batch, "evaluations": 32, "precision": "float32"}
    plan.choose(
        "train", settings, f"{epochs} epochs, batch {batch}", "the checkpoint with the best held-out answers stays"
    )
    plan.reasons.append(Reason("precision", "float32", "small matrices gain no time from bfloat16"))
    answer_of(profile, plan)


def answer_of(profile: Profile, plan: Plan) -> None:
    """The task: what is answered, and by which loss."""
    if profile.task == "classify":
        what = f"{profile.labels} labels at once" if profile.labels else f"{profile.classes} classes"
        plan.choose(
            "task", {"name": "classify"}, "classify", f"the target has {what}; the log loss chooses the checkpoint"
        )
        share = profile.smallest_class / max(1, profile.rows)
        if 0 < share * profile.classes < 0.5:
            why = (
                f"the rarest class has {profile.smallest_class:,} rows ({share:.1%}): weights would bend probabilities"
            )
            plan.reasons.append(Reason("loss", "cross-entropy without weights", why))
    else:
        plan.choose(
            "task", {"name": "regress"}, "regress", "the target is a number; the squared error, scaled, is lowered"
        )
        if profile.target_skew > 2:
            plan.reasons.append(Reason("target", "scaled", f"its skew is {profile.target_skew:.1f}"))


def from_pictures(profile: Profile, plan: Plan) -> None:
    """Pictures with a label or a number each: a network that learns in few passes over the data."""
    rows, side = profile.rows, min(profile.shape[:2] or (32, 32))
    colour = len(profile.shape) == 3 and profile.shape[2] == 3
    kind, size = "colour" if colour else "grey", " x ".join(map(str, profile.shape[:2]))
    plan.choose(
        "split",
        {"test": 0.2, "val": 0.1 if rows < MANY_PICTURES else 0.05},
        "20 % test, the rest to learn and choose by",
        f"{rows:,} pictures; parts that the data gives are kept",
    )
    widths = [32, 64, 64] if side <= TINY_SIDE else [64, 256, 256] if colour else [32, 64, 128]
    plan.choose(
        "model",
        {"name": "speednet", "widths": widths},
        f"speednet {'-'.join(map(str, widths))}",
        f"{kind} pictures of {size}: whitened patches and few layers learn in few passes over the data",
    )
    pixels = max(1, round(side / 14))
    shift: dict[str, Any] = {"name": "shift", "pixels": pixels, "fill": "reflect" if colour else "zero"}
    if colour:
        plan.choose("augment", [{"name": "flip"}, shift], f"flip, shift {pixels}", "a photograph mirrored is one still")
    elif rows < MANY_PICTURES:
        turned: dict[str, Any] = {"name": "rotation", "degrees": 10.0}
        why = "few grey pictures, often signs: turned a little, never mirrored"
        plan.choose("augment", [turned, shift], f"rotation 10 degrees, shift {pixels}", why)
    else:
        plan.choose("augment", [shift], f"shift {pixels}", "grey pictures are often signs, which mirroring changes")
    rate = 5e-3 if side <= TINY_SIDE else 1e-2
    optimizer = {"name": "adamw", "lr": rate, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, f"AdamW at {rate}", "norms in every layer let the rate be high")
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "the most learned in few passes")
    epochs = 40 if rows < FEW_PICTURES else 20 if rows < MANY_PICTURES else 10 if colour else 8
    batch = 64 if rows < FEW_PICTURES else 256
    settings = {"epochs": epochs, "batch_size": batch, "ema": 0.998 if rows < FEW_PICTURES else 0.999}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"{rows:,} pictures; averaged weights answer")
    wanted = "bfloat16: this hardware multiplies it" if profile.bfloat16 else "float32: this hardware has no bfloat16"
    if rows < FEW_PICTURES and side <= TINY_SIDE:
        plan.recipe.train["precision"] = wanted = "float32"
    why = (
        "half the memory traffic where pictures are large or many"
        if wanted != "float32"
        else "tiny pictures gain no time"
    )
    plan.reasons.append(Reason("precision", wanted, why))
    answer_of(profile, plan)
    if profile.task == "classify" and rows >= FEW_PICTURES:
        plan.recipe.task["goal"] = "accuracy"


def plain(profile: Profile, plan: Plan) -> None:
    """Settings that suit most networks, where the user's choice of model makes the tuned ones void."""
    optimizer = {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, "AdamW at 0.001", "suits most networks; tune it with --set optimizer.lr=")
    plan.choose("schedule", {"name": "cosine"}, "warm-up, then cosine", "needs no tuning")
    batch = 32 if profile.rows < 3_000 else 128
    epochs = max(10, min(300, round(STEPS * batch / profile.rows)))
    kept = {key: value for key, value in plan.recipe.train.items() if key in ("precision", "seconds")}
    settings = {**kept, "epochs": epochs, "batch_size": batch}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"some {STEPS:,} steps for {profile.rows:,} rows")
