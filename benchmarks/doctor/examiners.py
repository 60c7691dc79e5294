"""A fifth list of faults to plant, as an examiner from outside would set it, chance keeping one of each pair.

Written on 21 November 2026, 02:41 to 03:19 UTC, by somebody who had read the table of ailments, the four lists before
this one and the loop of this benchmark, but no rule of the doctor, no test of it and no page of what it finds. The
kinds are the ailments of the table as it defines them, in trainings that no earlier list has: spoken digits under a
recurrent layer, forecasts of electricity and of sunspots, film reviews, names under attention normed after its sums,
photos under residual batch-normed convolutions, digits cut into patches, digits compared in pairs, shells, lesions of
which one in 43 counts, loans, and an autoencoder that draws. What each is meant to be, and by what other names it may
rightly go, was settled before any of it was run. Then each was trained without a doctor, seed 0, in each of its
families, beside its healthy twin: of 50 kinds, three that did no harm gave way to sharper ones (decibels to watts,
patches in any order to smaller tiles, rings as they are counted to a head begun loud), and a rate at which steps leap
was sought by trial. What is no loss of score here is a leak, an answer seen, rows that see each other, dropout while
judging, slow loading, or memory that grows.
"""

import random
from dataclasses import replace
from functools import partial

from benchmarks.doctor import mishaps
from benchmarks.doctor.faults import FAST, SLOW, Fault, headed, inputs, rate, targets
from benchmarks.doctor.strangers import changed, modelled
from benchmarks.doctor.trainings import Borrower, Listener, Namer, Patched
from benchmarks.doctor.variants import STEEP, TIRED, learner, rows
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam, RMSprop

ONE_ROW = ("cannot-fit-one-batch", "underfitting")

PAIRS = (
    (
        Fault("loads in watts", "input-not-normalized", inputs(mishaps.in_watts), ("hours",)),
        Fault("hours for which a meter said nothing", "bad-features", inputs(mishaps.with_gaps, held_too=False),
              ("hours",), ("non-finite-values",)),
    ),
    (
        Fault("one lesion in 43, unweighed", "class-imbalance", lambda s: replace(s, loss=F.cross_entropy),
              ("lesions",)),
        Fault("one praise to fifteen pans", "class-imbalance", rows(mishaps.praised_seldom), ("reviews",),
              ("preprocessing-mismatch", "overfitting"), False),
    ),
    (
        Fault("three speakers labelled without listening", "label-noise", rows(mishaps.three_speakers_guessed),
              ("sound",), ("overfitting",), False),
        Fault("tiles of a digit in any order", "label-breaking-augmentation", changed(mishaps.jumbled), ("patches",),
              ("preprocessing-mismatch",), False),
    ),
    (
        Fault("rare rows copied before the split", "data-leakage",
              lambda s: replace(s, data=mishaps.copied_before_split, loss=F.cross_entropy), ("lesions",), (), False),
        Fault("windows dealt by chance", "data-leakage", lambda s: replace(s, data=mishaps.windows_by_chance),
              ("hours",), (), False),
    ),
    (
        Fault("padding asked for, letters left out", "targets-out-of-range",
              targets(mishaps.padding_asked_for, held_too=True), ("names",),
              ("padding-or-mask-fault", "class-imbalance"), False),
        Fault("forty words among 760 of padding", "padding-or-mask-fault",
              lambda s: replace(s, data=mishaps.mostly_padding, model=mishaps.AllAveraged), ("reviews",),
              ("underfitting",), False),
    ),
    (
        Fault("folder after folder", "data-not-shuffled", rows(mishaps.praise_first, shuffle=False), ("reviews",)),
        Fault("held-out recordings quieter", "preprocessing-mismatch",
              lambda s: replace(s, data=mishaps.quieter_held_out), ("sound",), ("overfitting",), False),
    ),
    (
        Fault("probabilities into cross-entropy", "loss-head-mismatch", headed(lambda: nn.Softmax(1)),
              ("photos", "patches", "sound")),
        Fault("a flat row of answers", "loss-head-mismatch", targets(lambda y: y[:, 0], held_too=True),
              ("shells", "sunspots")),
    ),
    (
        Fault("tanhs sure of one class, squared error", "learning-slowdown", mishaps.sure_by_tanh,
              ("photos", "paired"),
              ("loss-head-mismatch", "bad-initialization", "wrong-initial-loss", "saturated-activations")),
        Fault("a head begun loud", "wrong-initial-loss", mishaps.loud_head, ("sound", "patches"),
              ("bad-initialization",)),
    ),
    (
        Fault("an optimizer told to maximize", "gradient-ascent", mishaps.option(maximize=True), ("sound", "shells")),
        Fault("gradients never cleared", "missing-zero-grad", lambda s: replace(s, zero_grad=False),
              ("shells", "photos")),
    ),
    (
        Fault("matrices from a standard normal", "bad-initialization", mishaps.normal_everywhere(), ("patches",),
              ("wrong-initial-loss", "transformer-instability", *FAST)),
        Fault("filters too heavy to be moved", "update-ratio-off", modelled(mishaps.heavy_under_norm), ("photos",),
              ("bad-initialization", "learning-rate-too-low", "plateau", "vanishing-gradient")),
    ),
    (
        Fault("a recurrent layer under no_grad", "disconnected-parameters", modelled(mishaps.Unheard), ("sound",),
              ("underfitting",), False),
        Fault("the head's parameters alone", "disconnected-parameters", mishaps.head_alone, ("reviews", "names"),
              ("underfitting",)),
    ),
    (
        Fault("never back from evaluation", "wrong-train-eval-mode", mishaps.left_in_eval, ("photos",)),
        Fault("dropout while the digits are judged", "wrong-train-eval-mode",
              lambda s: replace(s, model=lambda: Listener(dropout=0.6), validate_in_train_mode=True), ("sound",)),
    ),
    (
        Fault("names without a mask", "cross-sample-leak", modelled(partial(Namer, causal=False)), ("names",),
              ("data-leakage",), False),
        Fault("attention over the rows", "cross-sample-leak", modelled(partial(Patched, rows_first=False)),
              ("patches",), (), False),
    ),
    (
        Fault("a picture compared with itself", "cannot-fit-one-batch", modelled(mishaps.Itself), ("paired",),
              ("disconnected-parameters", "vanishing-gradient", "underfitting"), False),
        Fault("rounds that replace instead of add", "representation-collapse", modelled(mishaps.Replacing),
              ("patches",), ("transformer-instability", "vanishing-gradient", "bad-initialization", "plateau",
                             *ONE_ROW), False),
    ),
    (
        Fault("fourteen convolutions of sigmoids", "vanishing-gradient", modelled(mishaps.many_sigmoids), ("photos",),
              STEEP),
        Fault("a long silence behind each digit", "no-long-range-signal",
              lambda s: replace(rows(mishaps.long_silence)(s), model=mishaps.LastHeard), ("sound",),
              ("vanishing-gradient", "padding-or-mask-fault", "underfitting"), False),
    ),
    (
        Fault("a state that grows by half each month", "exploding-gradient", modelled(mishaps.growing_months),
              ("sunspots",),
              ("bad-initialization", "wrong-initial-loss", "learning-rate-too-high", "non-finite-values")),
        Fault("norms after the sums at a high rate from the start", "transformer-instability",
              lambda s: learner(lambda m: Adam(m.parameters(), 3e-2))(mishaps.no_warm_up(s)), ("names",),
              (*FAST, "plateau", "representation-collapse")),
    ),
    (
        Fault("filters above zero, pictures below", "dying-relu",
              lambda s: replace(inputs(mishaps.below_zero)(s), model=mishaps.all_filters_positive), ("paired",),
              ("bad-initialization", "vanishing-gradient", "cannot-fit-one-batch")),
        Fault("months pinned to the ends of a tanh", "saturated-activations", modelled(mishaps.pinned_months),
              ("sunspots",),
              ("bad-initialization", "vanishing-gradient", "exploding-gradient", "no-long-range-signal")),
    ),
    (
        Fault("a rate where a factor was asked for", "learning-rate-too-low", mishaps.rate_as_factor,
              ("hours", "patches"), SLOW),
        Fault("a hundred times the usual rate", "learning-rate-too-high", rate(100.0), ("sound", "shells"),
              (*FAST, "dying-relu")),
    ),
    (
        Fault("steps that leap the valley", "oscillating-loss",
              lambda s: replace(learner(lambda m: RMSprop(m.parameters(), 0.01))(s), batch=512), ("shells",), FAST),
        Fault("one weight flipped", "loss-spike", mishaps.flipped_weight, ("hours",),
              ("exploding-gradient", "learning-rate-too-high")),
    ),
    (
        Fault("a root of no distance", "non-finite-values", modelled(mishaps.Rooted), ("paired",),
              ("exploding-gradient",), False),
        Fault("squares too small for half precision", "mixed-precision-underflow",
              mishaps.in_half(lambda m: RMSprop(m.parameters(), 1e-3)), ("lesions",), ("non-finite-values",)),
    ),
    (
        Fault("a decay of 0.3 in the gradient", "over-regularized", mishaps.option(weight_decay=0.3), ("sound",),
              TIRED),
        Fault("two units that listen", "underfitting", modelled(partial(Listener, width=2)), ("sound",),
              ("cannot-fit-one-batch", "plateau"), False),
    ),
    (
        Fault("a wide network for 750 loans", "overfitting",
              lambda s: replace(s, model=lambda: Borrower(256, 256, dropout=0.0), steps=500,
                                optimizer=lambda m: Adam(m.parameters(), 3e-3)), ("loans",), (), False),
        Fault("a hundred and fifty reviews", "overfitting",
              lambda s: replace(rows(lambda x, y, a, b: (x[:150], y[:150], a, b))(s), steps=400, evaluations=20,
                                optimizer=lambda m: Adam(m.parameters(), 5e-3)), ("reviews",), (), False),
    ),
    (
        Fault("squares of gradients lost on the way", "training-state-lost", mishaps.unlearned_squares, ("patches",),
              ("loss-spike", "learning-rate-too-high", "exploding-gradient"), False),
        Fault("batch norm on one photo", "batch-too-small", lambda s: replace(s, batch=1, steps=400), ("photos",),
              (), False),
    ),
    (
        Fault("errors averaged, divergence summed", "posterior-collapse",
              lambda s: replace(s, loss=mishaps.mean_against_sum), ("drawn",), ("over-regularized",), False),
        Fault("the divergence subtracted", "gradient-ascent", lambda s: replace(s, loss=mishaps.divergence_subtracted),
              ("drawn",), ("non-finite-values", "exploding-gradient", "learning-rate-too-high"), False),
    ),
    (
        Fault("states of all batches kept", "memory-leak", modelled(mishaps.Remembering), ("sound",), (), False),
        Fault("each recording read anew", "dataloader-starvation", mishaps.read_anew, ("sound",), (), False),
    ),
)  # fmt: skip
EXAMINED = tuple(fault for pair in PAIRS for fault in pair)
_KEPT = random.Random(2026112103)  # chance says which of each pair is kept
KEPT5 = tuple(pair[_KEPT.randrange(2)] for pair in PAIRS)
OPEN5 = tuple(fault for fault in EXAMINED if fault not in KEPT5)
