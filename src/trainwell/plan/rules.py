"""A profile to a recipe: the rules, each with the reason that it gives."""

from dataclasses import dataclass, field
from typing import Any

from trainwell.data.image import LARGEST, USUAL
from trainwell.data.rows import counted
from trainwell.errors import InputError
from trainwell.models.backbone import BACKBONES
from trainwell.plan.boxes import from_boxes
from trainwell.plan.fill import from_holes
from trainwell.plan.generative import NETWORKS, check_pair, from_whole
from trainwell.plan.likeness import from_likeness
from trainwell.plan.masks import from_masks
from trainwell.plan.profile import Profile
from trainwell.plan.readers import from_reader, is_reader
from trainwell.plan.sequences import forecasts, from_language, from_series, from_text, reads_text, shorter_lookback
from trainwell.plan.sounds import from_sounds, from_speech
from trainwell.plan.texts import from_answers, from_pairs, from_tags
from trainwell.plan.transfer import from_weights, network_of_run
from trainwell.recipe import Recipe

STEPS, FEWEST_STEPS = 5_000, 256  # of a network that no rule knows; of any table
FEW_PICTURES, MANY_PICTURES = 5_000, 20_000
TINY_SIDE, SMALL_SIDE = 16, 64  # pixels
STEMS = ("resnet", "densenet", "efficientnet", "alexnet")  # made for pictures of 224 pixels, which they shrink at once
LEAST_ROWS, TINY_ROWS, FEW_ROWS, SOME_ROWS, MANY_ROWS = 200, 500, 2_000, 15_000, 50_000  # of a table
MANY_CLASSES = 50  # from which on pictures may be of people or things rather than of kinds
RARE = 0.05  # share of the rows


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

    @property
    def in_order_of_time(self) -> bool:
        """Whether what is held out comes after what is learned from, so that it may have moved away from it."""
        return self.recipe.task.get("name") == "forecast" or bool(self.recipe.split.get("time"))

    def choose(self, key: str, part: Any, choice: str, why: str) -> None:
        """Set a part of the recipe and say why."""
        setattr(self.recipe, key, part)
        self.reasons.append(Reason(key, choice, why))


SEQUENCES = {  # kinds of work with rules of their own
    "forecast": from_series,
    "language": from_language,
    "masked_language": from_holes,
    "span_corruption": from_holes,
    "segment": from_masks,
    "translate": from_pairs,
    "summarize": from_pairs,
    "detect": from_boxes,
    "tag": from_tags,
    "answer": from_answers,
    "likeness": from_likeness,
    "recognize": from_speech,
}
OVER = {"segment": "unet", "detect": "fcos", "likeness": "embedder"}  # networks that stand on one for pictures


def propose(profile: Profile, model: str | None = None, task: str | None = None, weights: str | None = None) -> Plan:
    """The recipe for this profile; a model or task that its user names is kept, and the rest planned around it.

    weights: a file, a run folder or hub:owner/name that the network is to start from.

    Raises InputError for data that no rule covers.
    """
    if profile.task not in ("classify", "regress", *SEQUENCES, *NETWORKS) and task is None:
        raise InputError(
            f"this data asks for the task {profile.task!r}, which has no plan yet; name a target column with --target, "
            "or a task and a model with --task and --model"
        )
    check_pair(task or profile.task, model)
    plan = Plan(Recipe())
    named, model = model, model or network_of_run(weights)
    if profile.task in NETWORKS:
        from_whole(profile, plan, model)
    elif profile.task in SEQUENCES:
        SEQUENCES[profile.task](profile, plan)
    elif profile.images:
        from_pictures(profile, plan)
    elif profile.sounds:
        from_sounds(profile, plan)
        answer_of(profile, plan)
    elif profile.texts and (reads_text(model) or not (profile.numbers or profile.categories)):
        from_text(profile, plan, task or profile.task)
        answer_of(profile, plan)
    else:
        from_table(profile, plan, folds=folds_of(profile, model))
    if profile.task in OVER and model in BACKBONES:
        backbone, why = named_network(model, profile.shape)
        whole = OVER[profile.task]
        plan.choose("model", {"name": whole, "backbone": backbone}, f"{whole} over {model}", why)
    elif model is not None and model != plan.recipe.model.get("name"):
        part, why = named_network(model, profile.shape)
        if profile.series and forecasts(model):
            part |= shorter_lookback(profile, model, plan.recipe.model["lookback"])
        plan.choose("model", part, model, why)
        plain(profile, plan)
    if (
        profile.task == "classify"
        and profile.images
        and profile.classes >= MANY_CLASSES > profile.rows / profile.classes
    ):
        why = f"{profile.classes:,} classes of few pictures; to tell apart classes never seen, --task likeness"
        plan.reasons.append(Reason("task", "classify", why))
    if task is not None and task != profile.task:
        plan.reasons = [each for each in plan.reasons if each.key != "task"]
        plan.choose("task", {"name": task}, task, "named by the user")
    if weights is not None and is_reader(weights) and not profile.images:
        from_reader(profile, plan, weights, named)
    elif weights is not None:
        from_weights(profile, plan, weights, model)
    if profile.seconds is not None:
        plan.recipe.train["seconds"] = profile.seconds
        why = "the most it may take; the schedule ends with it, or with the passes where these end sooner"
        plan.reasons.append(Reason("time", f"{profile.seconds:.0f} s", why))
    return plan


def named_network(name: str, shape: tuple[int, ...]) -> tuple[dict[str, Any], str]:
    """The network that its user names, with what the size of pictures asks of it, and why.

    shape: of a picture, height and width first; empty for tables.
    """
    part: dict[str, Any] = {"name": name}
    if not shape:
        return part, "named by the user"
    side, size = max(shape[:2]), " x ".join(map(str, shape[1::-1]))  # width first, as a person says it
    if name in STEMS and side < SMALL_SIDE:
        part["stem_stride"] = 1
        return part, f"named by the user; its first layers keep pictures of {size} whole (stem_stride=1)"
    if name == "vit":
        part["side"] = side if side <= LARGEST else USUAL
        part["patch"] = 4 if side <= SMALL_SIDE else 8 if part["side"] <= USUAL else 16
        return part, f"named by the user; patches of {part['patch']} pixels for pictures of {size}"
    return part, "named by the user"


def folds_of(profile: Profile, model: str | None) -> int:
    """How many folds the rows of a table go into: 0 where there are many, or a network without members was named."""
    if model not in (None, "tabm") or profile.rows >= MANY_ROWS:
        return 0
    return 8 if LEAST_ROWS <= profile.rows < SOME_ROWS else 4


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
        why = f"{rows:,} rows are enough for it" if rows >= MANY_ROWS else "one network has one validation part"
        plan.choose("split", {"test": 0.2, "val": 0.15}, "20 % test, 15 % validation", why)
    rare = 0 < profile.smallest_class < RARE * rows
    transform: dict[str, Any] = {"numbers": "robust" if rare else "quantile"}
    why = f"{numbers} number columns, {profile.heavy_tails} with heavy tails: quantiles bring each to a normal shape"
    if rare:
        why = f"the rarest class has {profile.smallest_class:,} rows: quantiles would hide how far out they lie"
    if profile.locations:
        transform["locations"] = profile.locations
        pairs = "; ".join(" and ".join(pair) for pair in profile.locations)
        why += f"; {pairs} are a place, seen along four more directions"
    plan.choose("transform", transform, transform["numbers"], why)
    if profile.gaps:
        plan.reasons.append(
            Reason("transform", "median and a flag", f"missing cells in {counted(profile.gaps, 'column')}")
        )
    few, some = rows < FEW_ROWS, rows < SOME_ROWS
    model: dict[str, Any] = {
        "name": "tabm",
        "members": 16 if rows < TINY_ROWS or (some and not few) else 32 if few else 8,
        "width": 256,
        "depth": 2,
        "dropout": 0.3 if few else 0.1,
        "bins": 48 if some else 96,
    }
    kinds = f"{numbers} number and {profile.categories} category columns, {rows:,} rows"
    why = f"{kinds}: numbers embedded piecewise, an ensemble in one network, dropout {model['dropout']}"
    plan.choose("model", model, f"tabm, {model['members']} members", why)
    rate = 1e-3 if few else 2e-3 if some else 4e-3
    optimizer = {"name": "adamw", "lr": rate, "weight_decay": 0.3, "betas": [0.9, 0.99]}
    plan.choose("optimizer", optimizer, f"AdamW at {rate}, decay 0.3", "members share their matrices, which bear decay")
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    batch = 32 if rows < TINY_ROWS else 64 if few else 128 if rows < 5_000 else 256 if rows < MANY_ROWS else 1024
    epochs = max(24, round(FEWEST_STEPS * batch / rows)) if rows < TINY_ROWS else 16 if few else 20 if some else 24
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch,
        "evaluations": epochs if few else 10,
        "precision": "float32",
    }
    if few:
        settings["patience"] = 8
    kept = "the checkpoint with the best held-out answers"
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"{kept} stays")
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
            why = f"the rarest class has {profile.smallest_class:,} rows ({100 * share:.1f} %); weights bend answers"
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
    kind, size = "colour" if colour else "grey", " x ".join(map(str, profile.shape[1::-1]))
    share = 0.1 if rows < MANY_PICTURES else 0.05
    plan.choose("split", {"test": 0.2, "val": share}, profile.divided(0.2, share), f"{rows:,} pictures to learn from")
    long = rows >= MANY_PICTURES and profile.long
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
        steps, what = [{"name": "flip"}, shift], f"flip, shift {pixels}"
        why = "a photograph mirrored is one still"
        if long:
            steps, what = [*steps, {"name": "cutout", "share": 0.25}], f"{what}, cutout of a quarter of the side"
            why += "; what is seen often is seen with a part painted over"
        plan.choose("augment", steps, what, why)
    elif rows < MANY_PICTURES:
        turned: dict[str, Any] = {"name": "rotation", "degrees": 10.0}
        why = "few grey pictures, often signs: turned a little, never mirrored"
        plan.choose("augment", [turned, shift], f"rotation 10 degrees, shift {pixels}", why)
    else:
        plan.choose("augment", [shift], f"shift {pixels}", "grey pictures are often signs, which mirroring changes")
    rate = 5e-3 if side <= TINY_SIDE else 1e-2
    # Decay forgets over 1 / (mean rate x decay) steps: over as many as such a training has.
    optimizer = {"name": "adamw", "lr": rate, "weight_decay": 0.03 if long else 0.01}
    plan.choose("optimizer", optimizer, f"AdamW at {rate}", "norms in every layer let the rate be high")
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "the most learned in few passes")
    epochs = 40 if rows < FEW_PICTURES else 20 if rows < MANY_PICTURES else 10 if colour else 8
    why = f"{rows:,} pictures; averaged weights answer"
    if long:
        epochs, why = 3 * epochs, f"{why}; there is time for three times the usual passes"
    batch = 64 if rows < FEW_PICTURES else 256
    settings = {"epochs": epochs, "batch_size": batch, "ema": 0.998 if rows < FEW_PICTURES else 0.999}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", why)
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
    if profile.task == "classify":
        labelled(profile, plan, colour, long)


def labelled(profile: Profile, plan: Plan, colour: bool, long: bool) -> None:
    """What is added to the task of pictures with a class each."""
    if profile.rows >= FEW_PICTURES:
        plan.recipe.task["goal"] = "accuracy"
        task = next(reason for reason in plan.reasons if reason.key == "task")
        task.why = task.why.replace("the log loss", "the accuracy")
    if colour:
        plan.recipe.task["mirror"] = True
        plan.reasons.append(Reason("answers", "averaged with the mirrored picture's", "a second look, no training"))
    if long and not profile.labels:
        plan.recipe.task["label_smoothing"] = 0.1
        why = "many passes make a network too sure; a temperature sets its probabilities right again"
        plan.reasons.append(Reason("loss", "cross-entropy, a tenth of the truth spread over all classes", why))


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
