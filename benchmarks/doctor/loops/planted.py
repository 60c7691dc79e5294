"""The eighth list."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.doctor.loops import generators, letters, pictures, series, tables, words

LOOPS: dict[str, Callable[..., float]] = {
    each.__name__: each
    for each in (
        tables.mammography, tables.housing, tables.credit, tables.abalone, tables.colic, pictures.digits,
        pictures.photos, pictures.roads, pictures.likeness, generators.denoiser, generators.dreams, generators.forger,
        letters.shakespeare, letters.names, letters.backwards, words.tags, words.praise, words.captions, series.oil,
        series.temperatures, series.spoken,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """A mistake in a loop; `also`: what else it may rightly be called; `harm`: "worse", "too good" or "symptom"."""

    loop: str
    name: str
    ailment: str
    also: tuple[str, ...] = ()
    curable: bool = True
    harm: str = "worse"


SLOW = ("learning-rate-too-low", "plateau", "update-ratio-off")
FAST = ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "non-finite-values", "update-ratio-off")
STEEP = ("vanishing-gradient", "saturated-activations", "bad-initialization", "cannot-fit-one-batch", "plateau")
TIRED = ("over-regularized", "representation-collapse", "plateau", "underfitting")
ASCENT = ("learning-rate-too-high", "exploding-gradient", "non-finite-values")
NOTHING = ("underfitting", "plateau", "cannot-fit-one-batch")

MISTAKES = (
    Mistake("mammography", "rare ones not weighed", "class-imbalance"),
    Mistake("mammography", "rows drawn by their class's share", "class-imbalance",
            ("preprocessing-mismatch", "targets-out-of-range")),
    Mistake("mammography", "squared error of a sigmoid begun far down", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", "class-imbalance", *STEEP)),
    Mistake("mammography", "a decay of a half", "over-regularized", TIRED),
    Mistake("housing", "prices in dollars", "wrong-initial-loss",
            ("targets-out-of-range", "underfitting", "loss-head-mismatch", "exploding-gradient", *SLOW)),
    Mistake("housing", "numbers as they are in the file", "input-not-normalized"),
    Mistake("housing", "a column compared with a row", "loss-head-mismatch"),
    Mistake("housing", "the share explained, as the loss", "gradient-ascent", ASCENT),
    Mistake("housing", "rows picked from the frame one by one", "dataloader-starvation", (), False, "symptom"),
    Mistake("housing", "price a room among the columns", "data-leakage", (), False, "too good"),
    Mistake("housing", "biases begun at minus six", "dying-relu", ("wrong-initial-loss", *STEEP)),
    Mistake("credit", "codes looked up with their quotes", "bad-features", ("underfitting", "disconnected-parameters"),
            False),
    Mistake("credit", "held-out codes numbered as they come", "preprocessing-mismatch",
            ("overfitting", "bad-features"), False),
    Mistake("credit", "tanhs driven to their ends", "saturated-activations", (*STEEP, "overfitting")),
    Mistake("credit", "embeddings at three", "update-ratio-off", (*FAST, "saturated-activations", "overfitting")),
    Mistake("credit", "a rate of a millionth", "learning-rate-too-low", SLOW),
    Mistake("abalone", "age among the columns", "data-leakage", (), False, "too good"),
    Mistake("abalone", "logarithms of sizes, some of them nothing", "bad-features", ("non-finite-values",), False),
    Mistake("abalone", "answers sorted by themselves", "label-noise", NOTHING, False),
    Mistake("abalone", "tanhs from a normal a hundred wide", "saturated-activations", (*STEEP, "wrong-initial-loss")),
    Mistake("abalone", "no line search, a rate of ten", "learning-rate-too-high", (*FAST, "loss-spike")),
    Mistake("colic", "what the operation showed left in", "data-leakage", (), False, "too good"),
    Mistake("colic", "gaps filled with 99999", "bad-features", ("input-not-normalized", "wrong-initial-loss")),
    Mistake("colic", "all horses at once, steps of fifteen", "oscillating-loss", (*FAST, "dying-relu")),
    Mistake("digits", "pictures shuffled, labels not", "label-noise", (*NOTHING, "overfitting"), False),
    Mistake("digits", "the head replaced when the optimizer was made", "disconnected-parameters", NOTHING),
    Mistake("digits", "a network in half precision", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("digits", "zeros left over from a trial", "cannot-fit-one-batch",
            ("disconnected-parameters", "dying-relu", "bad-features", "underfitting"), False),
    Mistake("digits", "four hundred test pictures judged at each step from the third epoch on", "step-time-cliff", (),
            False, "symptom"),
    Mistake("digits", "all weights from a standard normal", "bad-initialization", ("wrong-initial-loss", *FAST)),
    Mistake("digits", "squared error of sigmoids at a hundredth of the temperature", "learning-slowdown",
            ("loss-head-mismatch", "wrong-initial-loss", "underfitting", *STEEP), False),
    Mistake("digits", "rows and channels laid out anew", "cross-sample-leak", (*NOTHING, "label-noise"), False),
    Mistake("photos", "held-out bytes left as they are", "preprocessing-mismatch", ("overfitting",), False),
    Mistake("photos", "judged kind after kind in training mode", "wrong-train-eval-mode",
            ("preprocessing-mismatch", "overfitting")),
    Mistake("photos", "a rate of sixty", "learning-rate-too-high", (*FAST, "dying-relu")),
    Mistake("photos", "two photos a batch", "batch-too-small", FAST, False),
    Mistake("photos", "two hundred photos", "overfitting", (), False),
    Mistake("photos", "a rate thrown up for a moment", "loss-spike", FAST),
    Mistake("roads", "masks divided by 255 with the photos", "targets-out-of-range",
            ("class-imbalance", "preprocessing-mismatch"), False),
    Mistake("roads", "photos turned over, masks not", "label-breaking-augmentation",
            ("label-noise", "preprocessing-mismatch"), False),
    Mistake("roads", "a softmax before cross-entropy", "loss-head-mismatch"),
    Mistake("roads", "clipped at a ten-thousandth", "plateau", SLOW),
    Mistake("roads", "photos read from their files each time", "dataloader-starvation", (), False, "symptom"),
    Mistake("roads", "one channel at the bottom, no bridges", "underfitting", ("cannot-fit-one-batch", "plateau"),
            False),
    Mistake("roads", "a rate that ends after so many batches as epochs", "learning-rate-too-low", SLOW),
    Mistake("roads", "steps taken, gradients kept", "missing-zero-grad"),
    Mistake("likeness", "alike by who drew them", "label-noise", (*NOTHING, "overfitting"), False),
    Mistake("likeness", "alike and unlike exchanged", "gradient-ascent", ("label-noise", "loss-head-mismatch"), False),
    Mistake("likeness", "nothing that pushes apart", "representation-collapse", ("loss-head-mismatch",), False),
    Mistake("likeness", "gradients not cleared", "missing-zero-grad"),
    Mistake("likeness", "places kept for a plot", "memory-leak", (), False, "symptom"),
    Mistake("denoiser", "eight rounds of sigmoids", "vanishing-gradient", STEEP),
    Mistake("denoiser", "a rectifier behind a bias below zero", "dying-relu", ("loss-head-mismatch", *STEEP)),
    Mistake("denoiser", "weights of one number", "bad-initialization", NOTHING),
    Mistake("denoiser", "an average without the norms' numbers", "wrong-train-eval-mode",
            ("preprocessing-mismatch", "overfitting"), False),
    Mistake("denoiser", "outputs of all batches kept", "memory-leak", (), False, "symptom"),
    Mistake("dreams", "an encoder under no_grad", "disconnected-parameters", ("posterior-collapse", "underfitting"),
            False),
    Mistake("dreams", "a rate of a half", "learning-rate-too-high", (*FAST, "dying-relu", "posterior-collapse")),
    Mistake("dreams", "gone on from half of a checkpoint", "training-state-lost", ("loss-spike",), False),
    Mistake("dreams", "a warm-up of the divergence that does not end", "posterior-collapse", ("over-regularized",),
            False),
    Mistake("forger", "one draw of noise for the whole batch", "mode-collapse", ("batch-too-small",), False),
    Mistake("forger", "real digits in bytes, drawn ones from -1 to 1", "one-player-wins",
            ("vanishing-gradient", "mode-collapse", "input-not-normalized", "preprocessing-mismatch")),
    Mistake("forger", "the judge's gradients not cleared", "missing-zero-grad", ("one-player-wins",)),
    Mistake("forger", "the forger's own turn detached", "disconnected-parameters", ("one-player-wins",), False),
    Mistake("shakespeare", "a mask that begins one letter late", "cross-sample-leak", ("data-leakage",), False,
            "too good"),
    Mistake("shakespeare", "a deviation of one everywhere", "bad-initialization",
            ("wrong-initial-loss", "transformer-instability", "saturated-activations", *FAST)),
    Mistake("shakespeare", "three tenths for three thousandths", "learning-rate-too-high",
            (*FAST, "transformer-instability", "plateau", "representation-collapse")),
    Mistake("shakespeare", "a warm-up a hundred times too long", "learning-rate-too-low", SLOW),
    Mistake("shakespeare", "loaded by names that are not there", "training-state-lost", ("loss-spike",), False),
    Mistake("shakespeare", "nine tenths dropped", "over-regularized", TIRED),
    Mistake("shakespeare", "a rate thrown up for a moment", "loss-spike", (*FAST, "transformer-instability")),
    Mistake("names", "the minus of the likelihood forgotten", "gradient-ascent", ASCENT),
    Mistake("names", "a state of two numbers", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("backwards", "what was read is not passed on", "no-long-range-signal",
            ("disconnected-parameters", *NOTHING), False),
    Mistake("backwards", "attention over the names of a batch", "cross-sample-leak", (), False),
    Mistake("backwards", "the speller hears what it is to say", "data-leakage", ("cross-sample-leak",), False),
    Mistake("backwards", "the reader's optimizer never steps", "disconnected-parameters", ("underfitting",)),
    Mistake("tags", "the number of no name is the one left out", "targets-out-of-range",
            ("padding-or-mask-fault", "class-imbalance"), False),
    Mistake("tags", "all tags weigh the same", "class-imbalance", (), False),
    Mistake("tags", "words filled up behind, tags in front", "padding-or-mask-fault",
            ("label-noise", *NOTHING, "overfitting"), False),
    Mistake("tags", "numbers of words and shapes cut off at a small table", "bad-features",
            (*NOTHING, "disconnected-parameters"), False),
    Mistake("praise", "the split drawn a second time", "data-leakage", (), False, "too good"),
    Mistake("praise", "rows of a batch sorted, answers not", "label-noise", (*NOTHING, "overfitting"), False),
    Mistake("praise", "a decay of a tenth in Adam", "over-regularized", TIRED),
    Mistake("praise", "plain steps at Adam's rate", "learning-rate-too-low", SLOW),
    Mistake("captions", "padding shown and words hidden", "padding-or-mask-fault", ("non-finite-values", *NOTHING),
            False),
    Mistake("captions", "the hidden words left in place", "data-leakage",
            ("padding-or-mask-fault", "cross-sample-leak"), False),
    Mistake("captions", "a head from a normal three wide", "wrong-initial-loss", ("bad-initialization",)),
    Mistake("captions", "queries and keys thirty times as large", "transformer-instability",
            ("saturated-activations", "bad-initialization", "exploding-gradient", "representation-collapse")),
    Mistake("captions", "a rate of a tenth", "learning-rate-too-high",
            (*FAST, "transformer-instability", "plateau", "representation-collapse")),
    Mistake("oil", "the loss watched for a rise", "learning-rate-too-low", SLOW),
    Mistake("oil", "losses added up with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("oil", "meters as they stand, all in thousandths", "input-not-normalized",
            ("wrong-initial-loss", "targets-out-of-range", "saturated-activations", "underfitting", *SLOW)),
    Mistake("oil", "answers that lie in what is read", "data-leakage", (), False, "too good"),
    Mistake("oil", "held-out hours not scaled", "preprocessing-mismatch", ("overfitting",), False),
    Mistake("oil", "a rate of three", "learning-rate-too-high", (*FAST, "saturated-activations", "plateau")),
    Mistake("oil", "the first week's weights each week", "training-state-lost", ("loss-spike", "oscillating-loss"),
            False),
    Mistake("temperatures", "the first axis taken for time", "cross-sample-leak", (*NOTHING, "label-noise"), False),
    Mistake("temperatures", "states that grow day by day, nothing clipped", "exploding-gradient",
            (*FAST, "bad-initialization", "wrong-initial-loss", "loss-spike", "dying-relu")),
    Mistake("temperatures", "days read from the last to the first", "no-long-range-signal",
            ("vanishing-gradient", "underfitting", "plateau"), False),
    Mistake("temperatures", "gradients not cleared", "missing-zero-grad"),
    Mistake("temperatures", "degrees times ten, as they are", "wrong-initial-loss",
            ("input-not-normalized", "saturated-activations", "targets-out-of-range", "underfitting", *SLOW)),
    Mistake("spoken", "powers without a logarithm", "input-not-normalized", ("bad-features",)),
    Mistake("spoken", "logarithms of silence", "non-finite-values", ("bad-features",)),
    Mistake("spoken", "bare scores for log-chances", "loss-head-mismatch", ("gradient-ascent", *ASCENT)),
    Mistake("spoken", "features detached before both heads", "disconnected-parameters", ("underfitting",), False),
    Mistake("spoken", "files in order", "data-not-shuffled"),
    Mistake("spoken", "held-out powers without a logarithm", "preprocessing-mismatch", ("overfitting",), False),
    Mistake("spoken", "a hundredth of all absolute weights in the loss", "over-regularized", TIRED, False),
    Mistake("spoken", "bands rolled round as variety", "label-breaking-augmentation", ("preprocessing-mismatch",),
            False),
    Mistake("spoken", "two recordings a batch", "batch-too-small", FAST, False),
    Mistake("spoken", "an array that is never filled", "cannot-fit-one-batch",
            ("bad-features", "disconnected-parameters", "underfitting", "plateau"), False),
)  # fmt: skip

# Beside the loops as they are: what only looks ill.
AWKWARD = (
    ("mammography", "focal loss"), ("mammography", "a cyclic rate"), ("housing", "summed errors, a rate to match"),
    ("credit", "seven tenths dropped"), ("credit", "batches of eight"), ("digits", "a trunk held still"),
    ("digits", "smoothed labels"), ("digits", "pictures mixed"), ("photos", "warm-up and a cosine"),
    ("names", "half dropped"),
)  # fmt: skip


def finite(score: float) -> float:
    """A score that is no number counts as the worst: a file of JSON lines holds none of those."""
    return score if math.isfinite(score) else -1e9
