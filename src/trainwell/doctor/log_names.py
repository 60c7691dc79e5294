"""The name of a column of a log to what it measures, however its author wrote it."""

import re

HELD_OUT = {"val", "valid", "validation", "eval", "evaluate", "evaluation", "test", "testing", "te", "dev", "held"}
TRAINING = {"train", "training", "tr", "trn"}
LOSS = {"loss", "losses", "cost", "objective", "nll", "mse", "rmse", "mae", "bce", "ce", "xent", "perplexity"}
LOSS |= {"crossentropy"}
SHARE = {"accuracy", "acc", "top1", "f1", "auc", "auroc", "iou", "miou", "recall", "precision"}
# What says of which rows or how it was taken, and not what.
MANNER = {"step", "epoch", "total", "avg", "average", "mean", "running", "out", "smoothed", "ema", "global", "batch"}
RATES = {("lr",), ("learning", "rate")}
NORMS = {("grad", "norm"), ("gradient", "norm"), ("norm", "grad"), ("total", "norm"), ("gradnorm",)}
PLACES = ("step", "global_step", "iteration", "iter", "it", "batch", "epoch", "epochs")
FIRST = ("loss", "train_loss", "training_loss")  # of several, the one that is taken where all have as many values


def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: valLoss, val/loss and Val Loss are all val, loss."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return tuple(re.sub(r"[^A-Za-z0-9]+", " ", parted).lower().replace("cross entropy", "crossentropy").split())


def plain(name: str) -> str:
    """The words of a name joined by underscores."""
    return "_".join(words(name))


def meaning(name: str) -> str:
    """loss, rate, gradient norm, held out WORD, step, or nothing."""
    parts = words(name)
    if "_".join(parts) in PLACES:
        return "step"
    rest = [part for part in parts if part not in TRAINING | HELD_OUT | MANNER]
    if {*parts} & HELD_OUT and not {*parts} & TRAINING:
        return f"held out {'_'.join(rest) or 'loss'}"
    if rest and {*rest} <= LOSS and len(rest) == 1:
        return "loss"
    if tuple(rest) in RATES or parts[:1] == ("lr",):
        return "rate"
    if tuple(rest) in NORMS or tuple(part for part in parts if part not in TRAINING) in NORMS:
        return "gradient norm"
    return ""


def is_share(word: str) -> bool:
    """Whether a metric runs from 0 to 1, so that larger numbers are percents."""
    return bool({*word.split("_")} & SHARE)
