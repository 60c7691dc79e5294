"""A profile to a recipe: the rules, each with the reason that it gives."""

from dataclasses import dataclass, field
from typing import Any

from trainwell.errors import InputError
from trainwell.plan.profile import Profile
from trainwell.recipe import Recipe

FEW_ROWS = 8_000  # of a table: below this, folds and small networks; above, one held-out part and a larger one


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
        from_table(profile, plan)
    if profile.seconds is not None:
        plan.recipe.train["seconds"] = profile.seconds
        plan.reasons.append(
            Reason("train", f"{profile.seconds:.0f} s", "the time that was given; the schedule ends with it")
        )
    if task is not None and task != profile.task:
        plan.choose("task", {"name": task}, task, "named by the user")
    if model is not None and model != plan.recipe.model.get("name"):
        plan.choose("model", {"name": model}, model, "named by the user")
        plain(profile, plan)
    return plan


def from_table(profile: Profile, plan: Plan) -> None:
    """Columns of numbers and categories: packed RealMLPs with folds while rows are few, TabM where they are many."""
    numbers, rows = profile.numbers, profile.rows
    kinds = f"{numbers} number and {profile.categories} category columns"
    if rows < FEW_ROWS and "val" not in profile.given:
        plan.choose(
            "split", {"test": 0.2, "val": 0.0, "folds": 5}, "20 % test, 5 folds",
            f"{rows:,} rows are too few to give some away for validation: each member of the network leaves out "
            "another fifth, and answers for it",
        )  # fmt: skip
    else:
        plan.choose(
            "split",
            {"test": 0.2, "val": 0.15},
            "20 % test, 15 % validation",
            f"{rows:,} rows are enough to hold some out",
        )
    scaling = "quantile" if profile.heavy_tails else "robust"
    why = (
        f"{profile.heavy_tails} of {numbers} number columns have heavy tails: quantiles bring each to a normal shape"
        if profile.heavy_tails
        else f"{numbers} number columns without heavy tails: median and quartile range, smoothly clipped"
    )
    plan.choose("transform", {"numbers": scaling}, scaling, why)
    if profile.gaps:
        plan.reasons.append(Reason("transform", "median and a flag", f"{profile.gaps} columns have missing cells"))
    if rows < FEW_ROWS:
        few_rows(profile, plan, kinds)
    else:
        many_rows(profile, plan, kinds)
    plan.recipe.train["precision"] = "float32"
    plan.reasons.append(Reason("precision", "float32", "small matrices gain no time from bfloat16"))
    answer_of(profile, plan)


def few_rows(profile: Profile, plan: Plan, kinds: str) -> None:
    """Ten small networks side by side, two for each fold."""
    classes = profile.task == "classify"
    activation = "selu" if classes else "mish"
    plan.choose(
        "model", {"name": "realmlp", "members": 10, "width": 128, "activation": activation}, "realmlp, 10 members",
        f"{kinds}, {profile.rows:,} rows: small networks with embedded numbers, averaged over folds",
    )  # fmt: skip
    rate = 0.04 if classes else 0.1
    optimizer = {"name": "adam", "lr": rate, "betas": [0.9, 0.95], "weight_decay": 0.02}
    plan.choose("optimizer", optimizer, f"Adam at {rate}", "the rate that RealMLP's scaling is made for")
    plan.choose(
        "schedule", {"name": "log_cosine"}, "log-cosine bumps", "each low end is a chance for the best checkpoint"
    )
    batch = 64 if profile.rows < 1500 else 128
    plan.choose("train", {"epochs": 60, "batch_size": batch, "evaluations": 60}, f"60 epochs, batch {batch}",
                "the checkpoint with the best held-out answers is kept")  # fmt: skip


def many_rows(profile: Profile, plan: Plan, kinds: str) -> None:
    """One network that is an ensemble of many, sharing their matrices."""
    plan.choose(
        "model", {"name": "tabm", "members": 16, "width": 256, "depth": 3}, "tabm, 16 members",
        f"{kinds}, {profile.rows:,} rows: an ensemble in one network, numbers embedded piecewise",
    )  # fmt: skip
    plan.choose(
        "optimizer", {"name": "adamw", "lr": 2e-3, "weight_decay": 3e-4}, "AdamW at 0.002", "TabM's published rate"
    )
    plan.choose(
        "schedule", {"name": "constant"}, "constant", "the best checkpoint is kept, and patience ends the training"
    )
    batch = 256 if profile.rows < 50_000 else 1024
    plan.choose("train", {"epochs": 100, "batch_size": batch, "patience": 16, "evaluations": 100, "clip": 1.0},
                f"up to 100 epochs, batch {batch}", "stops after 16 evaluations without gain")  # fmt: skip


def answer_of(profile: Profile, plan: Plan) -> None:
    """The task: what is answered, and by which loss."""
    if profile.task == "classify":
        what = f"{profile.labels} labels at once" if profile.labels else f"{profile.classes} classes"
        plan.choose(
            "task", {"name": "classify"}, "classify", f"the target has {what}; the log loss chooses the checkpoint"
        )
        share = profile.smallest_class / max(1, profile.rows)
        if 0 < share < 0.1:
            why = f"the rarest class has {profile.smallest_class:,} rows ({share:.1%}); weights would bend the probabilities"
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
    size = " x ".join(map(str, profile.shape[:2]))
    plan.choose(
        "split", {"test": 0.2, "val": 0.1 if rows < 20_000 else 0.05}, "20 % test, the rest to learn and choose by",
        f"{rows:,} pictures; parts that the data gives are kept",
    )  # fmt: skip
    widths = [32, 64, 64] if side <= 16 else [64, 256, 256] if colour else [32, 64, 128]
    kind = "colour" if colour else "grey"
    plan.choose("model", {"name": "speednet", "widths": widths}, f"speednet {'-'.join(map(str, widths))}",
                f"{kind} pictures of {size}: whitened patches and few layers learn in few passes")  # fmt: skip
    shift = max(1, side // 14)
    if colour:
        augment: list[dict[str, Any]] = [{"name": "flip"}, {"name": "shift", "pixels": shift}]
        plan.choose("augment", augment, f"flip, shift {shift}", "colour photographs are the same thing mirrored")
    else:
        augment = [{"name": "rotation", "degrees": 10.0}, {"name": "shift", "pixels": shift}]
        plan.choose(
            "augment",
            augment,
            f"rotate 10 degrees, shift {shift}",
            "grey pictures are often signs, which mirroring changes",
        )
    plan.choose("optimizer", {"name": "adamw", "lr": 5e-3 if side <= 16 else 1e-2, "weight_decay": 0.01}, "AdamW",
                "norms let the rate be high")  # fmt: skip
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "few passes are enough")
    epochs = 40 if rows < 5_000 else 20 if rows < 20_000 else 12
    batch = 64 if rows < 5_000 else 256
    plan.choose("train", {"epochs": epochs, "batch_size": batch, "ema": 0.998}, f"{epochs} epochs, batch {batch}",
                f"{rows:,} pictures")  # fmt: skip
    wanted = (
        "bfloat16, as this hardware multiplies it" if profile.bfloat16 else "float32, as this hardware has no bfloat16"
    )
    plan.reasons.append(Reason("precision", "auto", wanted))
    answer_of(profile, plan)
    if profile.task == "classify":
        plan.recipe.task["goal"] = "accuracy" if rows >= 5_000 else "log_loss"


def plain(profile: Profile, plan: Plan) -> None:
    """Settings that suit most networks, where the user's choice of model makes the tuned ones void."""
    plan.choose(
        "optimizer",
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
        "AdamW at 1e-3",
        "suits most networks; tune with --set optimizer.lr=",
    )
    plan.choose("schedule", {"name": "cosine"}, "warm-up, then cosine", "needs no tuning")
