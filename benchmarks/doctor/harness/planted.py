"""The twelfth list."""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.doctor.harness import codes, pictures, players, recurrent, tables, text
from benchmarks.doctor.harness.case import Case, train
from benchmarks.doctor.loops.planted import Mistake

CASES: dict[str, Callable[[], Case]] = {
    each.__name__: each
    for each in (
        tables.tumours, tables.housing, pictures.numerals, pictures.photos, recurrent.rows, recurrent.load, text.bard,
        text.languages, codes.ink,
    )
}  # fmt: skip
FAULTS = tables.FAULTS | pictures.FAULTS | recurrent.FAULTS | text.FAULTS | codes.FAULTS


def loop(case_name: str, doctor_of: Callable[..., Any], seed: int, name: str) -> float:
    """The one harness on a case, changed by a fault if one is named; the seed is set before."""
    if case_name in players.FAULTS:
        return players.run(case_name, doctor_of, name)
    case = CASES[case_name]()
    if name:
        FAULTS[case_name][name](case)
    return train(case, doctor_of)


LOOPS: dict[str, Callable[..., float]] = {each: partial(loop, each) for each in (*CASES, *players.FAULTS)}

FAST = ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "non-finite-values", "update-ratio-off",
        "loss-spike")  # fmt: skip
DEAD = ("dying-relu", "saturated-activations", "representation-collapse")
SLOW = ("learning-rate-too-low", "plateau", "update-ratio-off")
STUCK = ("cannot-fit-one-batch", "plateau", "underfitting")
STEEP = ("vanishing-gradient", "saturated-activations", "bad-initialization", *STUCK)
TIRED = ("over-regularized", "representation-collapse", "plateau", "underfitting")
ASCENT = ("learning-rate-too-high", "exploding-gradient", "non-finite-values")
NOISE = ("overfitting", *STUCK)

MISTAKES = (
    Mistake("tumours", "columns not standardised", "input-not-normalized", (*DEAD, *FAST)),
    Mistake("tumours", "missing values", "bad-features", ("non-finite-values",), False),
    Mistake("tumours", "labels shuffled", "label-noise", NOISE, False),
    Mistake("tumours", "validation not standardised", "preprocessing-mismatch", (), False),
    Mistake("tumours", "labels one and two", "targets-out-of-range", ("loss-head-mismatch", "gradient-ascent"), False),
    Mistake("tumours", "squared error of a saturated sigmoid", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", *STEEP)),
    Mistake("tumours", "ten sigmoid layers", "vanishing-gradient", STEEP),
    Mistake("tumours", "tanh with weights times a hundred", "saturated-activations", (*STEEP, "wrong-initial-loss")),
    Mistake("tumours", "whole table at a rate of twenty", "oscillating-loss", (*FAST, *DEAD)),
    Mistake("tumours", "float16 weights", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("tumours", "logarithm of zero", "non-finite-values", ("bad-features",), False),
    Mistake("housing", "columns not standardised", "input-not-normalized", (*DEAD, "wrong-initial-loss")),
    Mistake("housing", "typing errors", "bad-features", ("input-not-normalized", *FAST), False),
    Mistake("housing", "the price among the columns", "data-leakage", (), False, "too good"),
    Mistake("housing", "target without its axis", "loss-head-mismatch", STUCK),
    Mistake("housing", "loss with a minus", "gradient-ascent", ASCENT),
    Mistake("housing", "prices in dollars", "wrong-initial-loss",
            ("loss-head-mismatch", "targets-out-of-range", "underfitting", "exploding-gradient", *SLOW)),
    Mistake("housing", "weights from a normal of ten", "bad-initialization", ("wrong-initial-loss", *FAST)),
    Mistake("housing", "biases at minus ten", "dying-relu", STEEP),
    Mistake("housing", "weights times eight, plain descent", "exploding-gradient",
            ("bad-initialization", "wrong-initial-loss", *FAST, "dying-relu")),
    Mistake("housing", "rate cut to a tenth every ten batches", "learning-rate-too-low", SLOW),
    Mistake("housing", "first layer at a thousand times the rate", "update-ratio-off", (*FAST, *DEAD)),
    Mistake("housing", "clipped at a ten-thousandth, plain descent", "plateau", (*SLOW, "underfitting")),
    Mistake("housing", "one hidden unit", "underfitting", ("cannot-fit-one-batch", "plateau", "dying-relu"), False),
    Mistake("housing", "one row a batch", "batch-too-small", FAST, False),
    Mistake("housing", "float16 weights", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("housing", "slow rows", "dataloader-starvation", (), False, "symptom"),
    Mistake("housing", "steps that wait", "step-time-cliff", (), False, "symptom"),
    Mistake("numerals", "five numerals with eight pictures each", "class-imbalance", ("overfitting",), False),
    Mistake("numerals", "labels from one", "targets-out-of-range", ("label-noise", "overfitting"), False),
    Mistake("numerals", "turned and mirrored", "label-breaking-augmentation", ("preprocessing-mismatch",), False),
    Mistake("numerals", "sorted by numeral", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("numerals", "log-softmax forgotten before the likelihood", "loss-head-mismatch",
            ("gradient-ascent", *ASCENT)),
    Mistake("numerals", "squared error of saturated sigmoids", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", *STEEP)),
    Mistake("numerals", "loss with a minus", "gradient-ascent", ASCENT),
    Mistake("numerals", "head thirty times too large", "wrong-initial-loss", ("bad-initialization", *FAST)),
    Mistake("numerals", "all weights zero", "bad-initialization", (*STUCK, "dying-relu", "disconnected-parameters")),
    Mistake("numerals", "zero_grad forgotten", "missing-zero-grad", FAST),
    Mistake("numerals", "inputs all zero", "cannot-fit-one-batch", ("bad-features", *STUCK), False),
    Mistake("numerals", "eight sigmoid layers", "vanishing-gradient", STEEP),
    Mistake("numerals", "biases at minus ten", "dying-relu", STEEP),
    Mistake("numerals", "tanh with weights times thirty", "saturated-activations",
            (*STEEP, "wrong-initial-loss", *FAST)),
    Mistake("numerals", "features through one number", "representation-collapse", STUCK, False),
    Mistake("numerals", "rate times a hundred", "learning-rate-too-high", (*FAST, *DEAD)),
    Mistake("numerals", "rate times a thousand for three steps", "loss-spike", (*FAST, *DEAD)),
    Mistake("numerals", "dropout at the examination", "wrong-train-eval-mode", ("over-regularized",), False),
    Mistake("numerals", "eighty pictures", "overfitting", (), False),
    Mistake("numerals", "dropout of .95", "over-regularized", TIRED),
    Mistake("numerals", "one picture a batch", "batch-too-small", (*FAST, *DEAD), False),
    Mistake("numerals", "only a part of a checkpoint", "training-state-lost", ("loss-spike",), False),
    Mistake("numerals", "slow rows", "dataloader-starvation", (), False, "symptom"),
    Mistake("photos", "seven labels in ten shuffled", "label-noise", NOISE, False),
    Mistake("photos", "five classes with ten photos each", "class-imbalance", ("overfitting",), False),
    Mistake("photos", "training photos in validation", "data-leakage", (), False, "too good"),
    Mistake("photos", "bytes in validation", "preprocessing-mismatch", (), False),
    Mistake("photos", "noise six times as strong", "label-breaking-augmentation", ("preprocessing-mismatch",), False),
    Mistake("photos", "sorted by class", "data-not-shuffled", ("oscillating-loss", "wrong-train-eval-mode")),
    Mistake("photos", "softmax before cross-entropy", "loss-head-mismatch"),
    Mistake("photos", "trunk not trained", "disconnected-parameters", ("underfitting",)),
    Mistake("photos", "running statistics never updated", "wrong-train-eval-mode", ("preprocessing-mismatch",)),
    Mistake("photos", "judged in training mode, class by class", "wrong-train-eval-mode",
            ("preprocessing-mismatch", "data-not-shuffled"), False),
    Mistake("photos", "biases at minus ten", "dying-relu", STEEP),
    Mistake("photos", "head at a thousand times the rate", "update-ratio-off", FAST),
    Mistake("photos", "rate divided by a thousand", "learning-rate-too-low", SLOW),
    Mistake("photos", "one channel a layer", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("photos", "one channel before the head", "representation-collapse", STUCK, False),
    Mistake("photos", "a hundred photos", "overfitting", (), False),
    Mistake("photos", "weight decay of one", "over-regularized", TIRED),
    Mistake("photos", "two photos a batch", "batch-too-small", FAST, False),
    Mistake("photos", "rate times three hundred for three steps", "loss-spike", (*FAST, *DEAD)),
    Mistake("rows", "bytes times ten", "input-not-normalized", ("saturated-activations",)),
    Mistake("rows", "rows in any order", "label-breaking-augmentation", ("preprocessing-mismatch", *STUCK), False),
    Mistake("rows", "padded to 140 rows", "padding-or-mask-fault", ("no-long-range-signal", *STUCK), False),
    Mistake("rows", "first axis taken for time", "cross-sample-leak", STUCK, False),
    Mistake("rows", "recurrence without gradients", "disconnected-parameters",
            ("no-long-range-signal", "underfitting")),
    Mistake("rows", "a plain recurrence that grows", "exploding-gradient", ("bad-initialization", "wrong-initial-loss",
            *FAST, *DEAD)),
    Mistake("rows", "gates saturated", "saturated-activations", (*STEEP, "exploding-gradient", "no-long-range-signal")),
    Mistake("rows", "rate times a hundred", "learning-rate-too-high", (*FAST, *DEAD)),
    Mistake("rows", "rate zero", "learning-rate-too-low", (*SLOW, "disconnected-parameters")),
    Mistake("rows", "clipped at a millionth", "plateau", (*SLOW, "underfitting")),
    Mistake("rows", "only the first row's state", "no-long-range-signal", (*STUCK, "disconnected-parameters"), False),
    Mistake("rows", "state lost before the last seven rows", "no-long-range-signal", ("disconnected-parameters",
            "underfitting"), False),
    Mistake("rows", "only a part of a checkpoint", "training-state-lost", ("loss-spike",), False),
    Mistake("rows", "scores kept with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("load", "the answer in the window", "data-leakage", (), False, "too good"),
    Mistake("load", "held-out hours not standardised", "preprocessing-mismatch", (), False),
    Mistake("load", "momentum at a rate of a tenth", "oscillating-loss", (*FAST, *DEAD)),
    Mistake("load", "zero_grad forgotten", "missing-zero-grad", FAST),
    Mistake("load", "recurrence that grows", "exploding-gradient",
            ("bad-initialization", "wrong-initial-loss", *FAST, *DEAD)),
    Mistake("load", "only the first hour's state", "no-long-range-signal", (*STUCK, "disconnected-parameters"), False),
    Mistake("load", "steps that wait", "step-time-cliff", (), False, "symptom"),
    Mistake("load", "inputs all zero", "cannot-fit-one-batch", ("bad-features", *STUCK), False),
    Mistake("bard", "no causal mask", "cross-sample-leak", ("data-leakage", "transformer-instability",
            "padding-or-mask-fault"), False, "too good"),
    Mistake("bard", "loss with a minus", "gradient-ascent", ASCENT),
    Mistake("bard", "all weights from a normal of one", "bad-initialization",
            ("wrong-initial-loss", "transformer-instability", "saturated-activations", *FAST)),
    Mistake("bard", "head weights times a hundred", "wrong-initial-loss", ("bad-initialization", *FAST)),
    Mistake("bard", "only the head in the optimizer", "disconnected-parameters", ("underfitting",)),
    Mistake("bard", "zero_grad forgotten", "missing-zero-grad", (*FAST, "transformer-instability")),
    Mistake("bard", "rate times a hundred", "learning-rate-too-high", (*FAST, *DEAD, "transformer-instability")),
    Mistake("bard", "rate times a thousand for three steps", "loss-spike", (*FAST, *DEAD, "transformer-instability")),
    Mistake("bard", "clipped at a ten-thousandth, plain descent", "plateau", (*SLOW, "underfitting")),
    Mistake("bard", "width of two", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("bard", "nine tenths dropped", "over-regularized", TIRED),
    Mistake("bard", "weights of the first step loaded", "training-state-lost", ("loss-spike",), False),
    Mistake("bard", "norms behind, rate of three hundredths, no warm-up", "transformer-instability",
            (*FAST, *DEAD, "plateau")),
    Mistake("bard", "queries and keys times forty", "transformer-instability",
            ("saturated-activations", "bad-initialization", "representation-collapse", "exploding-gradient")),
    Mistake("bard", "padding learned", "padding-or-mask-fault", ("class-imbalance", "preprocessing-mismatch"), False),
    Mistake("bard", "letters shuffled", "label-noise", NOISE, False),
    Mistake("bard", "embeddings at three thousand times the rate", "update-ratio-off", FAST),
    Mistake("languages", "one German row in a hundred", "class-imbalance", ("overfitting",), False),
    Mistake("languages", "sorted by language", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("languages", "mask inverted", "padding-or-mask-fault", STUCK, False),
    Mistake("languages", "all letters unknown", "cannot-fit-one-batch", ("bad-features", *STUCK), False),
    Mistake("languages", "rows of padding alone", "non-finite-values",
            ("padding-or-mask-fault", "bad-features"), False),
    Mistake("languages", "sixty sentences", "overfitting", (), False),
    Mistake("languages", "norms behind, rate of three hundredths, no warm-up", "transformer-instability",
            (*FAST, *DEAD, "plateau")),
    Mistake("languages", "all labels left out", "targets-out-of-range", ("non-finite-values",), False),
    Mistake("ink", "divergence times a hundred", "posterior-collapse", ("over-regularized", "underfitting")),
    Mistake("ink", "mean over pixels, sum over the code", "posterior-collapse", ("over-regularized", "underfitting")),
    Mistake("ink", "logarithm by hand", "non-finite-values", FAST),
    Mistake("ink", "six sigmoid layers", "vanishing-gradient", ("posterior-collapse", *STEEP)),
    Mistake("ink", "scores kept with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("ink", "float16 weights", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("paintings", "one digit alone", "mode-collapse", (), False),
    Mistake("paintings", "discriminator at twenty times the rate", "one-player-wins", (*FAST, "mode-collapse")),
    Mistake("paintings", "generator at a hundredth of the rate", "one-player-wins", ("mode-collapse", *SLOW)),
    Mistake("sketches", "one digit alone", "mode-collapse", (), False),
    Mistake("sketches", "noise of nought", "mode-collapse", (), False),
    Mistake("sketches", "generator at a fiftieth of the rate, saturating loss", "one-player-wins",
            (*FAST, "mode-collapse", "vanishing-gradient")),
)  # fmt: skip

# Beside the loops as they are: what only looks ill.
AWKWARD = (
    ("tumours", "trained long after it converged"),
    ("tumours", "batches of eight"),
    ("tumours", "half dropped"),
    ("housing", "cosine restarts"),
    ("housing", "a cyclic rate"),
    ("housing", "a first layer held still"),
    ("housing", "gradients of four batches"),
    ("housing", "bfloat16"),
    ("numerals", "three quarters of all units silent"),
    ("numerals", "heavy dropout"),
    ("numerals", "moved, with noise and a hole"),
    ("numerals", "twenty to one"),
    ("numerals", "smoothed labels"),
    ("numerals", "trained long"),
    ("photos", "mirrored and moved"),
    ("photos", "residual branches begun as nothing"),
    ("photos", "trunk held still"),
    ("photos", "batches of sixteen"),
    ("photos", "a late cut of the rate"),
    ("rows", "a plateau at first"),
    ("rows", "warm-up"),
    ("bard", "weights of low rank added"),
    ("bard", "bfloat16"),
    ("bard", "cosine after the warm-up"),
    ("bard", "gradients of four batches"),
    ("languages", "heavy dropout"),
    ("languages", "sparse embeddings"),
    ("ink", "warm-up"),
    ("paintings", "real ones at nine tenths"),
    ("sketches", "a Wasserstein loss"),
    ("sketches", "more momentum, which swings"),
)
