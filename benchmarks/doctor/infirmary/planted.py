"""The list of the infirmary."""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.doctor.harness.case import Case, train
from benchmarks.doctor.infirmary import codes, pictures, players, series, sound, tables, words
from benchmarks.doctor.loops.planted import Mistake

CASES: dict[str, Callable[[], Case]] = {
    each.__name__: each
    for each in (
        tables.shells, tables.lumps, pictures.digits, pictures.objects, pictures.patches, sound.spoken, sound.moments,
        words.names, words.critics, words.captions, series.sunspots, codes.strokes,
    )
}  # fmt: skip
FAULTS = tables.FAULTS | pictures.FAULTS | sound.FAULTS | words.FAULTS | series.FAULTS | codes.FAULTS


def loop(case_name: str, doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """The harness on a case, changed by a fault if one is named; the seed is set before."""
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
BEGUN = ("wrong-initial-loss", "bad-initialization")

MISTAKES = (
    Mistake("shells", "millimetres and grams", "input-not-normalized", (*DEAD, *FAST, "wrong-initial-loss")),
    Mistake("shells", "shells not weighed", "bad-features", ("non-finite-values",), False),
    Mistake("shells", "rings among the columns", "data-leakage", (), False, "too good"),
    Mistake("shells", "a sigmoid head for standardised rings", "loss-head-mismatch", ("underfitting", "plateau")),
    Mistake("shells", "head begun at three hundred", "wrong-initial-loss", ("bad-initialization", "plateau", *FAST)),
    Mistake("shells", "six layers with weights times six", "exploding-gradient", (*BEGUN, *FAST, *DEAD)),
    Mistake("shells", "biases at minus eight", "dying-relu", STEEP),
    Mistake("shells", "tanh with weights times sixty", "saturated-activations", (*STEEP, "wrong-initial-loss", *FAST)),
    Mistake("shells", "first layer at three thousand times the rate", "update-ratio-off", (*FAST, *DEAD)),
    Mistake("shells", "logarithms of what is below nought", "non-finite-values",
            ("loss-head-mismatch", "targets-out-of-range"), False),
    Mistake("shells", "rate times thirty", "oscillating-loss", (*FAST, *DEAD)),
    Mistake("shells", "weight decay of one half", "over-regularized", TIRED),
    Mistake("shells", "one shell a batch", "batch-too-small", FAST, False),
    Mistake("shells", "steps that wait", "step-time-cliff", (), False, "symptom"),
    Mistake("lumps", "missing values as -99999", "bad-features", ("input-not-normalized", *FAST, *DEAD), False),
    Mistake("lumps", "harmful ones count as one", "class-imbalance"),
    Mistake("lumps", "labels one and two", "targets-out-of-range", ("loss-head-mismatch", "gradient-ascent"), False),
    Mistake("lumps", "squared error of a sigmoid at its end", "learning-slowdown",
            ("loss-head-mismatch", *BEGUN, *STEEP)),
    Mistake("lumps", "ten layers of sigmoids", "vanishing-gradient", STEEP),
    Mistake("lumps", "float16 weights", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("lumps", "slow rows", "dataloader-starvation", (), False, "symptom"),
    Mistake("digits", "four numerals with six pictures each", "class-imbalance", ("overfitting",), False),
    Mistake("digits", "black on white in validation", "preprocessing-mismatch", (), False),
    Mistake("digits", "squared error of sigmoids at their end", "learning-slowdown",
            ("loss-head-mismatch", *BEGUN, *STEEP)),
    Mistake("digits", "zero_grad forgotten", "missing-zero-grad", FAST),
    Mistake("digits", "running statistics never updated", "wrong-train-eval-mode", ("preprocessing-mismatch",)),
    Mistake("digits", "features through one number", "representation-collapse", STUCK, False),
    Mistake("digits", "rate divided by two thousand", "learning-rate-too-low", SLOW),
    Mistake("digits", "clipped at a hundred-thousandth", "plateau", (*SLOW, "underfitting")),
    Mistake("digits", "two pictures a batch", "batch-too-small", FAST, False),
    Mistake("digits", "slow rows", "dataloader-starvation", (), False, "symptom"),
    Mistake("objects", "softmax before cross-entropy", "loss-head-mismatch"),
    Mistake("objects", "an optimizer that maximizes", "gradient-ascent", ASCENT),
    Mistake("objects", "only the head in the optimizer", "disconnected-parameters", ("underfitting",)),
    Mistake("objects", "inputs all zero", "cannot-fit-one-batch", ("bad-features", *STUCK), False),
    Mistake("objects", "one channel before the head", "representation-collapse", STUCK, False),
    Mistake("objects", "rate times two hundred", "learning-rate-too-high", (*FAST, *DEAD)),
    Mistake("objects", "two photos a batch", "batch-too-small", FAST, False),
    Mistake("objects", "scores kept with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("patches", "nine labels in ten shuffled", "label-noise", NOISE, False),
    Mistake("patches", "patches of other pictures", "label-breaking-augmentation",
            ("preprocessing-mismatch", *STUCK), False),
    Mistake("patches", "numbered from one", "targets-out-of-range", ("label-noise", "overfitting"), False),
    Mistake("patches", "head begun at eighty", "wrong-initial-loss", ("bad-initialization", *FAST)),
    Mistake("patches", "patch layer at a thousand times the rate", "update-ratio-off", (*FAST, *DEAD)),
    Mistake("patches", "rate times a thousand for three steps", "loss-spike",
            (*FAST, *DEAD, "transformer-instability")),
    Mistake("patches", "norms behind, four blocks, no warm-up, ten times the rate", "transformer-instability",
            (*FAST, *DEAD, *STEEP)),
    Mistake("spoken", "recordings cut by a broken reader", "bad-features", ("non-finite-values",), False),
    Mistake("spoken", "power in validation", "preprocessing-mismatch", (), False),
    Mistake("spoken", "bands moved and played from the end", "label-breaking-augmentation",
            ("preprocessing-mismatch", *STUCK), False),
    Mistake("spoken", "five digits with five recordings each", "class-imbalance", ("overfitting",), False),
    Mistake("spoken", "sorted by digit", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("spoken", "weights all one number", "bad-initialization", (*STUCK, "disconnected-parameters",
            "representation-collapse")),
    Mistake("spoken", "eight more layers, all sigmoids", "vanishing-gradient", STEEP),
    Mistake("spoken", "biases at minus ten", "dying-relu", STEEP),
    Mistake("spoken", "logarithm of silence", "non-finite-values", ("bad-features",), False),
    Mistake("spoken", "rate cut by a tenth at each step", "learning-rate-too-low", SLOW),
    Mistake("spoken", "rate times two thousand for four steps", "loss-spike", (*FAST, *DEAD)),
    Mistake("spoken", "two channels a layer", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("spoken", "forty recordings", "overfitting", (), False),
    Mistake("spoken", "nineteen in twenty dropped", "over-regularized", TIRED),
    Mistake("spoken", "a checkpoint without weights", "training-state-lost", ("loss-spike",), False),
    Mistake("moments", "divergence times two hundred", "posterior-collapse",
            ("over-regularized", "underfitting")),
    Mistake("moments", "mean over bands, sum over the code", "posterior-collapse",
            ("over-regularized", "underfitting")),
    Mistake("moments", "rate times a hundred", "learning-rate-too-high", (*FAST, *DEAD, "posterior-collapse")),
    Mistake("moments", "float16 weights", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("names", "only padding is learned", "padding-or-mask-fault",
            ("targets-out-of-range", "cannot-fit-one-batch"), False),
    Mistake("names", "vowels have the number that is left out", "targets-out-of-range", ("class-imbalance",), False),
    Mistake("names", "only the head in the optimizer", "disconnected-parameters", ("underfitting",)),
    Mistake("names", "judged with dropout on", "wrong-train-eval-mode", ("over-regularized",), False),
    Mistake("names", "recurrent weights times sixty", "saturated-activations",
            (*STEEP, "exploding-gradient", "no-long-range-signal")),
    Mistake("names", "rate times a hundred", "learning-rate-too-high", (*FAST, *DEAD)),
    Mistake("names", "clipped at a millionth, plain descent", "plateau", (*SLOW, "underfitting")),
    Mistake("names", "state lost after each letter", "no-long-range-signal",
            ("disconnected-parameters", "underfitting"), False),
    Mistake("names", "scores kept with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("critics", "labels shuffled", "label-noise", NOISE, False),
    Mistake("critics", "training reviews in validation", "data-leakage", (), False, "too good"),
    Mistake("critics", "other vocabulary in validation", "preprocessing-mismatch", ("overfitting",), False),
    Mistake("critics", "sorted by verdict", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("critics", "mean of the padding", "padding-or-mask-fault", STUCK, False),
    Mistake("critics", "all words unknown", "cannot-fit-one-batch", ("bad-features", *STUCK), False),
    Mistake("critics", "words at a millionth of the rate", "update-ratio-off",
            ("learning-rate-too-low", "disconnected-parameters", "plateau", "underfitting")),
    Mistake("critics", "sixty reviews", "overfitting", (), False),
    Mistake("captions", "no causal mask", "cross-sample-leak", ("data-leakage", "transformer-instability",
            "padding-or-mask-fault"), False, "too good"),
    Mistake("captions", "all weights from a normal of two", "bad-initialization",
            ("wrong-initial-loss", "transformer-instability", "saturated-activations", *FAST)),
    Mistake("captions", "zero_grad forgotten", "missing-zero-grad", (*FAST, "transformer-instability")),
    Mistake("captions", "rate cut to nothing after twelve steps", "learning-rate-too-low", SLOW),
    Mistake("captions", "width of two", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("captions", "weights of the first step loaded", "training-state-lost", ("loss-spike",), False),
    Mistake("captions", "norms behind, four blocks, ten times the rate, no warm-up", "transformer-instability",
            (*FAST, *DEAD, *STEEP)),
    Mistake("captions", "queries and keys times fifty", "transformer-instability",
            ("saturated-activations", "bad-initialization", "representation-collapse", "exploding-gradient")),
    Mistake("captions", "mostly padding", "padding-or-mask-fault", ("class-imbalance", "preprocessing-mismatch"),
            False),
    Mistake("captions", "steps that wait", "step-time-cliff", (), False, "symptom"),
    Mistake("sunspots", "counts as they stand", "input-not-normalized", ("saturated-activations",)),
    Mistake("sunspots", "the answer in the window", "data-leakage", (), False, "too good"),
    Mistake("sunspots", "loss with a minus", "gradient-ascent", ASCENT),
    Mistake("sunspots", "zero_grad forgotten", "missing-zero-grad", FAST),
    Mistake("sunspots", "first axis taken for time", "cross-sample-leak", STUCK, False),
    Mistake("sunspots", "a plain recurrence that grows", "exploding-gradient", (*BEGUN, *FAST, *DEAD)),
    Mistake("sunspots", "momentum at a rate of one", "oscillating-loss", (*FAST, *DEAD)),
    Mistake("sunspots", "only the first month's state", "no-long-range-signal",
            (*STUCK, "disconnected-parameters"), False),
    Mistake("sunspots", "months of other years", "label-noise", NOISE, False),
    Mistake("sunspots", "fifty months", "overfitting", (), False),
    Mistake("strokes", "mean over pixels, sum over the code", "posterior-collapse",
            ("over-regularized", "underfitting")),
    Mistake("strokes", "logarithm by hand", "non-finite-values", FAST),
    Mistake("map", "noise of nought", "mode-collapse", (), False),
    Mistake("map", "twenty answers a step, three times the rate", "mode-collapse", ("one-player-wins", *FAST)),
    Mistake("map", "discriminator at thirty times the rate", "one-player-wins", (*FAST, "mode-collapse")),
    Mistake("map", "generator at a two-hundredth of the rate", "one-player-wins", ("mode-collapse", *SLOW)),
    Mistake("stamps", "noise of nought", "mode-collapse", (), False),
    Mistake("stamps", "generator at a hundredth of the rate", "one-player-wins", ("mode-collapse", *SLOW)),
)  # fmt: skip

# Beside the loops as they are: what only looks ill.
AWKWARD = (
    ("shells", "cosine restarts"),
    ("shells", "a cyclic rate"),
    ("shells", "gradients of four batches"),
    ("shells", "bfloat16"),
    ("shells", "residual branches begun as nothing"),
    ("shells", "trained long after it converged"),
    ("lumps", "half dropped"),
    ("lumps", "batches of sixteen"),
    ("lumps", "most units silent"),
    ("digits", "smoothed labels"),
    ("digits", "half dropped"),
    ("digits", "moved, with noise and a hole"),
    ("digits", "twenty to one"),
    ("digits", "a plateau before the rate is cut"),
    ("objects", "branches begun as nothing"),
    ("objects", "mirrored"),
    ("objects", "a learned trunk held still"),
    ("objects", "batches of sixteen"),
    ("patches", "weights of low rank added"),
    ("patches", "a tenth dropped"),
    ("patches", "bfloat16"),
    ("spoken", "hiss, other loudness and missing bands"),
    ("spoken", "warm-up over a third"),
    ("spoken", "batches of eight"),
    ("moments", "a rate that falls to a tenth"),
    ("names", "a third dropped"),
    ("names", "gradients of four batches"),
    ("names", "a plateau at first"),
    ("critics", "sparse embeddings"),
    ("critics", "half dropped"),
    ("captions", "bfloat16"),
    ("captions", "a straight fall to nothing"),
    ("sunspots", "warm-up"),
    ("sunspots", "a cyclic rate"),
    ("strokes", "a divergence that counts more and more"),
    ("map", "a Wasserstein loss"),
    ("map", "real ones at nine tenths"),
    ("stamps", "more momentum, which swings"),
)
