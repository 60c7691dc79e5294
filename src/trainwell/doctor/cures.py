"""The order in which remedies are tried for each ailment, and from which moment each starts."""

from dataclasses import dataclass

from trainwell.doctor.afresh import start_afresh
from trainwell.doctor.between_players import connect_players, match_units, unsquash_answers
from trainwell.doctor.duel import mend_players, slow_winner
from trainwell.doctor.finish import level_rate
from trainwell.doctor.groups import raise_lowest
from trainwell.doctor.habits import (
    adopt_parameters,
    draw_more,
    draw_rows,
    evaluation_mode,
    keep_statistics,
    own_gradients,
    still_dropout,
    training_mode,
    turn_sign,
    without_penalty,
    zero_gradients,
)
from trainwell.doctor.lighter_bound import free_bits, restore_bound
from trainwell.doctor.precision import full_precision, raise_epsilon
from trainwell.doctor.rare_classes import weigh_classes
from trainwell.doctor.relabel import leave_plain, mend_targets
from trainwell.doctor.remedy import (
    Remedy,
    clip_first,
    clip_gradients,
    either_rate,
    even_rates,
    go_back,
    go_back_clipped,
    higher_rate,
    hold_rate,
    initialize_again,
    leave_out_answers,
    less_decay,
    less_dropout,
    lower_rate,
    mend_schedule,
    more_regularization,
    refuse_step,
    revive_units,
    settle_head,
    stop_rise,
    third_of_rate,
    usual_memory,
    usual_updates,
)
from trainwell.doctor.standardize import impute_inputs, standardize_inputs
from trainwell.doctor.surgery import (
    begin_attention_anew,
    bend,
    blunt_slips,
    drop_empty_norms,
    ease_depth,
    leak_rectifiers,
    mend_head,
    pass_the_slope,
    straighten,
    unsoften,
)
from trainwell.doctor.units import scale_answers
from trainwell.doctor.usual_steps import usual_steps

ANEW = "another network of the recipe"


@dataclass
class Cure:
    """A remedy with where it starts: the weights as they are, those of the last healthy moment, or the first ones."""

    remedy: Remedy
    words: str
    start: str = "now"  # "now", "healthy", "first" or "best"


DUEL = (
    Cure(mend_players, "rates, loss and noise that let both players learn", "first"),
    Cure(slow_winner, "a third of the winner's rate"),
    Cure(slow_winner, "a ninth of the winner's rate"),
)
CURES: dict[str, tuple[Cure, ...]] = {
    "gradient-ascent": (
        Cure(mend_schedule, "a rate above zero, held", "best"),
        Cure(turn_sign, "turn the sign", "first"),
        Cure(restore_bound, "the divergence added to the errors", "first"),
    ),
    "missing-zero-grad": (Cure(zero_gradients, "zero the gradients after each step", "first"),),
    "disconnected-parameters": (
        Cure(adopt_parameters, "give the parameters to the optimizer"),
        Cure(connect_players, "made rows with their graph", "first"),
    ),
    "wrong-train-eval-mode": (
        Cure(training_mode, "switch to training mode", "first"),
        Cure(evaluation_mode, "switch to evaluation mode"),
        Cure(still_dropout, "no dropout in evaluation"),
        Cure(keep_statistics, "a momentum for batch norms"),
    ),
    "loss-head-mismatch": (
        Cure(leave_plain, "the network's own scores to the loss", "first"),
        Cure(mend_head, "mend the head", "first"),
        Cure(unsquash_answers, "a discriminator's own scores to the loss", "first"),
    ),
    "mixed-precision-underflow": (
        Cure(full_precision, "weights in float32", "first"),
        Cure(raise_epsilon, "an epsilon that float16 can hold", "first"),
    ),
    "input-not-normalized": (
        Cure(match_units, "real rows in the unit of made ones", "first"),
        Cure(standardize_inputs, "standardize the inputs", "first"),
    ),
    "bad-features": (Cure(standardize_inputs, "impute and standardize the inputs", "first"),),
    "wrong-initial-loss": (
        Cure(scale_answers, "answers in the targets' units", "first"),
        Cure(settle_head, "settle the head at the prior", "first"),
        Cure(initialize_again, "initialize again", "first"),
    ),
    "bad-initialization": (
        Cure(ease_depth, "residual layers for a deep stack", "first"),
        Cure(initialize_again, "initialize again", "first"),
        Cure(straighten, "ReLU for saturating activations", "first"),
    ),
    "data-not-shuffled": (Cure(draw_rows, "draw the rows of each step", "first"),),
    "batch-too-small": (Cure(draw_more, "more rows a step"),),
    "class-imbalance": (Cure(weigh_classes, "all classes to count alike", "first"),),
    "learning-slowdown": (
        Cure(pass_the_slope, "the gradient of cross-entropy", "first"),
        Cure(initialize_again, "initialize again", "first"),
        Cure(mend_head, "take off the squashing head", "first"),
    ),
    "learning-rate-too-high": (
        Cure(usual_memory, "a momentum of 0.9", "first"),
        Cure(stop_rise, "the rate before its rise", "first"),
        Cure(even_rates, "one rate for all groups", "first"),
        Cure(clip_first, "clip the gradients", "first"),
        Cure(usual_steps, "Adam's steps", "first"),
        Cure(lower_rate, "a lower rate", "first"),
        Cure(clip_gradients, "clip the gradients", "first"),
        Cure(lower_rate, "a still lower rate", "first"),
    ),
    "learning-rate-too-low": (
        Cure(own_gradients, "gradients made anew", "first"),
        Cure(hold_rate, "the highest rate, held"),
        Cure(raise_lowest, "one rate for all groups", "first"),
        Cure(higher_rate, "a higher rate"),
        Cure(usual_steps, "Adam's steps", "first"),
    ),
    "exploding-gradient": (
        Cure(clip_gradients, "clip the gradients", "healthy"),
        Cure(lower_rate, "a lower rate", "first"),
        Cure(initialize_again, "initialize again", "first"),
    ),
    "cannot-fit-one-batch": (
        Cure(drop_empty_norms, "no norm over a single number", "first"),
        Cure(unsoften, "ReLU for a softmax between layers", "first"),
        Cure(straighten, "ReLU for saturating activations", "first"),
        Cure(start_afresh, ANEW),
        Cure(initialize_again, "initialize again", "first"),
    ),
    "vanishing-gradient": (
        Cure(unsoften, "ReLU for a softmax between layers", "first"),
        Cure(straighten, "ReLU for saturating activations", "first"),
        Cure(start_afresh, ANEW),
        Cure(ease_depth, "residual layers for a deep stack", "first"),
        Cure(initialize_again, "initialize again", "first"),
        Cure(higher_rate, "a higher rate"),
    ),
    "dying-relu": (
        Cure(lower_rate, "go back and lower the rate", "healthy"),
        Cure(revive_units, "initialize the dead units again"),
        Cure(leak_rectifiers, "LeakyReLU for ReLU"),
        Cure(start_afresh, ANEW),
        Cure(ease_depth, "residual layers for a deep stack", "first"),
        Cure(initialize_again, "initialize again", "first"),
    ),
    "saturated-activations": (
        Cure(even_rates, "one rate for all groups", "first"),
        Cure(initialize_again, "initialize again", "first"),
        Cure(standardize_inputs, "standardize the inputs", "first"),
        Cure(straighten, "ReLU for saturating activations", "first"),
        Cure(start_afresh, ANEW),
    ),
    "update-ratio-off": (
        Cure(raise_lowest, "one rate for all groups", "first"),
        Cure(own_gradients, "gradients made anew", "first"),
        Cure(usual_updates, "scale the rate"),
        Cure(usual_steps, "Adam's steps", "first"),
    ),
    "non-finite-values": (
        Cure(mend_schedule, "a rate, held"),
        Cure(refuse_step, "refuse the step"),
        Cure(impute_inputs, "impute the inputs"),
        Cure(leave_out_answers, "no gradient of answers beyond their range", "healthy"),
        Cure(clip_gradients, "clip the gradients", "healthy"),
        Cure(lower_rate, "a lower rate", "first"),
    ),
    "oscillating-loss": (Cure(third_of_rate, "a third of the rate"), Cure(third_of_rate, "a third of the rate")),
    "loss-spike": (
        Cure(level_rate, "no rate that leaps", "healthy"),
        Cure(go_back_clipped, "go back to before it", "healthy"),
        Cure(clip_gradients, "clip the gradients", "healthy"),
        Cure(third_of_rate, "a third of the rate", "healthy"),
    ),
    "training-state-lost": (Cure(go_back, "go back to before it", "healthy"),),
    "plateau": (Cure(own_gradients, "gradients made anew", "first"), Cure(either_rate, "the better rate")),
    "targets-out-of-range": (
        Cure(mend_targets, "targets as they are meant", "first"),
        Cure(blunt_slips, "cut the pull of answers far off", "first"),
    ),
    "underfitting": (
        Cure(bend, "an activation between the layers", "first"),
        Cure(unsoften, "ReLU for a softmax between layers", "first"),
        Cure(own_gradients, "gradients made anew", "first"),
        Cure(either_rate, "the better rate"),
        Cure(usual_steps, "Adam's steps", "first"),
    ),
    "over-regularized": (
        Cure(without_penalty, "gradients of the loss alone", "first"),
        Cure(less_decay, "less weight decay", "first"),
        Cure(less_dropout, "less dropout", "first"),
    ),
    "overfitting": (Cure(more_regularization, "back to the best weights, more decay", "best"),),
    "posterior-collapse": (
        Cure(restore_bound, "the weight of the evidence lower bound", "first"),
        Cure(free_bits, "free bits", "first"),
    ),
    "mode-collapse": DUEL,
    "one-player-wins": DUEL,
    "representation-collapse": (Cure(lower_rate, "a lower rate", "first"),),
    "transformer-instability": (
        Cure(begin_attention_anew, "initialize again", "first"),
        Cure(lower_rate, "a lower rate", "first"),
        Cure(clip_gradients, "clip the gradients", "first"),
    ),
}
