"""The profile of a series or a text to a recipe: the rules, each with the reason that it gives."""

import inspect
from typing import TYPE_CHECKING, Any

from trainwell.models import MODELS
from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

FEW_TEXTS, STEPS = 20_000, 1_000  # texts; steps that a text classifier learns in
FEW_CLASSES = 20  # of texts, up to which each word has a weight for each of them
MUCH_TEXT = 5_000_000  # characters from which on pieces of words repay their larger vocabulary
LONG_TEXT = 500_000  # characters from which on a network can grow with the time, not learn by heart
GPT_STEPS, GPT_BATCH = 2_000, 16
LONG_STEPS, LONG_BATCH = 4_800, 16  # of 256 tokens each: as many tokens as twelve times the larger network's weights
PERIODS = 21  # that a window reaches back in a long series
SHORT_SERIES = 1_000  # steps below which a linear map with few weights is all that can be learned
CYCLES = 30  # periods in the training part that a learned cycle needs
LONGEST = 60  # steps of a period that is forecast whole


def from_series(profile: Profile, plan: "Plan") -> None:
    """A series to forecast: linear maps of two lookbacks, which begin where ridge regression ends."""
    series = profile.series
    steps, period, channels = series["steps"], series["period"], series["channels"]
    training = profile.rows if profile.given else round(0.7 * steps)
    plan.choose(
        "split",
        {"method": "time", "time": series["time"], "test": 0.2, "val": 0.1},
        "by time: 70 % to learn, 10 % to validate, 20 % to test",
        "a forecast is judged on what came later; split.parts=[8640,2880,2880] gives parts in steps instead",
    )
    horizon = max(1, min(period if 1 < period <= LONGEST else 24, training // 6))
    why = "one period" if horizon == period else "a short way"
    choice = f"forecast {horizon} steps of one {series['step']}, with 80 % intervals"
    why += "; task.horizon sets another; each end of the interval has a network of its own (task.quantiles)"
    plan.choose("task", {"name": "forecast", "horizon": horizon, "quantiles": [0.1, 0.9]}, choice, why)
    cyclic = period > 0 and steps >= SHORT_SERIES and training >= CYCLES * period
    lookback = lookback_of(training, period, horizon, cyclic)
    model = {"name": "linear_blend", "lookback": lookback, "shares": [0.66, 1.0]}
    why = f"{steps:,} steps of {channels} series" + (f" that repeat every {period}" if period else ", no period")
    why += ": linear maps of two lookbacks begin at ridge regression's answer, and their mean errs less than each"
    plan.choose("model", model, f"linear_blend, lookback {lookback}", why)
    plan.choose("transform", {}, "standardized", "by the mean and spread of the training steps alone")
    why = "the closed form is near the best map: small steps refine it"
    plan.choose("optimizer", {"name": "adam", "lr": 1e-4}, "Adam at 0.0001", why)
    plan.choose("schedule", {"name": "trapezoid", "decay": 0.9, "warmup": 0.0}, "flat, then down", "noise averages out")
    batch = 128 if training > 20 * 256 else 32
    epochs = max(4, min(60, round(300 * batch / max(1, training))))
    settings = {"epochs": epochs, "batch_size": batch, "patience": 8, "precision": "float32"}
    plan.choose(
        "train", settings, f"{epochs} epochs, batch {batch}", "the checkpoint of the least held-out error stays"
    )


def lookback_of(training: int, period: int, horizon: int, cyclic: bool) -> int:
    """How many steps back a window reaches: 21 periods if the series is long, two at least where it has many cycles."""
    wanted = min(PERIODS * period, training // 10) if period else min(96, training // 10)
    wanted = max(2 * period, wanted) if cyclic else wanted
    return max(1, min(wanted, training - horizon - training // 5))


def forecasts(model: Any) -> bool:
    """Whether a network of this name tells the next steps of a series."""
    return model in MODELS and "horizon" in inspect.signature(MODELS[model]).parameters


def shorter_lookback(profile: Profile, model: str, planned: int) -> dict[str, int]:
    """The planned lookback for a named forecaster whose own would leave few windows of a series; else nothing."""
    usual = inspect.signature(MODELS[model]).parameters.get("lookback")
    training = profile.rows if profile.given else round(0.7 * profile.series["steps"])
    return {"lookback": planned} if usual is not None and usual.default > training // 3 else {}


def reads_text(model: str | None) -> bool:
    """Whether a network of this name reads tokens."""
    return model in MODELS and "vocabulary" in inspect.signature(MODELS[model]).parameters


def from_text(profile: Profile, plan: "Plan", task: str) -> None:
    """Texts with a label or a number each: the mean of what words say, and pairs where texts are many."""
    rows = profile.rows
    plan.choose("split", {"test": 0.2, "val": 0.1}, "20 % test, 10 % validation", f"{rows:,} texts, divided at random")
    few = rows < FEW_TEXTS
    transform = {"tokenizer": "words", "vocabulary": 30_000, "length": 2048 if few else 1024}
    why = "whole words say most about what a text is; those seen once are unknown"
    plan.choose("transform", transform, "words, 30,000 at most", why)
    if few and task == "classify" and profile.labels <= 1 and profile.classes <= FEW_CLASSES:
        why = f"{rows:,} texts: words and pairs of words, weighed by how far each favours a class, need fewest"
        plan.choose("model", {"name": "nbsvm"}, "nbsvm", why)
        optimizer: dict[str, Any] = {"name": "nesterov", "lr": 1.0, "momentum": 0.9, "weight_decay": 0.0}
        why = "a linear map of texts of length one bears it, and plain steps find a map of small weights"
        plan.choose("optimizer", optimizer, "Nesterov at 1", why)
    else:
        pairs = 0 if few else 500_000
        model = {"name": "fasttext", "width": 32, "pairs": pairs, "drop": 0.5 if few else 0.2}
        why = f"{rows:,} texts: networks that read in order need far more of them, or weights learned elsewhere"
        plan.choose("model", model, "fasttext", why)
        why = "each word is rarely seen, so its vector needs long steps"
        plan.choose("optimizer", {"name": "adamw", "lr": 5e-3, "weight_decay": 0.01}, "AdamW at 0.005", why)
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    batch = 32 if few else 128
    epochs = max(3, min(30, round(STEPS * batch / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": batch, "precision": "float32"}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"some {STEPS:,} steps, 30 passes at most")


def from_language(profile: Profile, plan: "Plan") -> None:
    """Text without labels: a small modern GPT on characters, or on pieces of words where there is much text."""
    text = profile.language
    characters = text["characters"]
    split_text(profile, plan)
    plan.choose("task", {"name": "language"}, "language", "text without labels: what comes next is learned")
    much = characters >= MUCH_TEXT
    kind, vocabulary = ("bpe", 4_096) if much else ("characters", 1_000)
    if text["different"] > 1_000 and not much:
        kind = "bytes"
    why = f"{characters:,} characters, {text['different']} different: " + (
        "pieces of words make it shorter" if much else "few enough to be read one by one"
    )
    plan.choose("transform", {"tokenizer": kind, "vocabulary": vocabulary}, kind, why)
    long = profile.long and characters >= LONG_TEXT
    context = 256 if long or characters >= 50 * MUCH_TEXT else 64
    steps, batch = (LONG_STEPS, LONG_BATCH) if long else (GPT_STEPS, GPT_BATCH)
    model = {"name": "gpt", "width": 128, "depth": 4, "heads": 2, "context": context}
    if long:
        model |= {"width": 192, "depth": 5, "heads": 3}
    passes = steps * batch * context / max(1, 0.9 * characters)
    model["dropout"] = 0.2 if passes > 12 else 0.1 if passes > 8 else 0.0
    why = f"{passes:.1f} passes over the text decide its dropout"
    if long:
        why += "; there is time for a larger network that looks further back"
    plan.choose("model", model, f"gpt, {model['width']} wide, context {context}", why)
    optimizer = {"name": "muon", "lr": 6e-3, "weight_decay": 0.1 if long else 0.01}
    plan.choose("optimizer", optimizer, "Muon at 0.006", "fewer steps to the same loss than AdamW on such networks")
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    settings = {"epochs": round(max(0.01, passes), 2), "batch_size": batch, "evaluations": 20 if long else 10}
    if not long:
        settings["precision"] = "float32"
    choice = f"{settings['epochs']:g} passes, batch {batch}"
    plan.choose("train", settings, choice, f"some {steps:,} steps; --time gives it more or less")


def split_text(profile: Profile, plan: "Plan") -> None:
    """Text alone, divided by place where it is one text, and at random where it is a list of examples."""
    pieces, held = profile.language["pieces"], max(1, round(0.05 * profile.language["pieces"]))
    if profile.given:
        plan.choose(
            "split", {"test": 0.05, "val": 0.05}, "as the source gives it", "parts that the data gives are kept"
        )
    elif profile.language["listed"]:
        shares = {"test": 0.1, "val": 0.1}
        plan.choose("split", shares, "10 % test, 10 % validation", f"{pieces:,} examples, divided at random")
    else:
        parts = [pieces - 2 * held, held, held]
        split = {"method": "time", "time": "place", "parts": parts}
        why = f"one text in {pieces:,} equal stretches: the last ones are held out; split.parts divides otherwise"
        plan.choose("split", split, "by place: 5 % to validate, the last 5 % to test", why)
