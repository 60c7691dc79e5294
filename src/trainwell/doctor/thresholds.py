"""Every number that a rule compares with, in one place: where it comes from, and when it was fitted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Limits of the rules, by ailment; see docs/ailments for what each means. Proposals unless a source is named."""

    # The rhythm of the rules.
    warm_up: int = 20  # steps before a rule about dynamics may speak
    persist: int = 3  # probes in a row that must agree

    # Data and labels.
    rows: int = 512  # samples that the data checks look at
    mean_over_deviation: float = 3.0  # 1: a feature's |mean| over its deviation
    deviation_low: float = 0.1
    deviation_high: float = 10.0
    scale_ratio: float = 100.0  # 1: largest over smallest deviation of the features
    outlier: float = 50.0  # 2: robust deviations from the median
    imbalance: float = 10.0  # 3: commonest over rarest class (SageMaker Debugger)
    tells_common: float = 0.05  # 3: of the way gone, where several classes are common
    minority_behind: float = 0.5  # 3: of the recall of the common classes
    minority_recall: float = 0.3
    wrong_rows: float = 0.15  # 4: training rows whose label is not the network's answer
    better_than_chance: float = 0.2  # 4: rows right, beyond the commonest class's share
    certainty: float = 0.62  # 4: chance that a right answer is surer than a wrong one
    doubt: float = 0.7  # 4: the same, where held-out rows are answered better than training rows
    fairer: float = 0.1  # 4: by so much better
    overlap_note: float = 0.0  # 5: share of held-out rows that are also training rows
    overlap_critical: float = 0.005
    single_feature_auroc: float = 0.995
    telling_token: float = 0.98  # 5: share of rows told by one token's presence, classes counting alike
    moved: float = 3.0  # 7: the same of rows that come later in time: beyond what a normal column holds
    drift: float = 0.5  # 7: shift of a feature's mean between parts, in deviations
    lit: float = 0.75  # 7: the same of pictures, all of whose features follow the light of a few scenes
    gap: float = 5.0  # 6: farthest answers over the next ones, in deviations, of slips rather than a tail
    other_codes: float = 0.4  # 7: share of tokens that would have to change for both parts to be alike
    other_numbers: float = 0.3  # 7: share of held-out rows that another numbering of labels would set right
    one_label_rows: int = 2000  # 6: rows of one and the same label after which it is no matter of order
    far: float = 3.0  # 2: deviations at which an infinite value is read
    either_way: float = 0.12  # 8: held-out pictures that are closer to their class when turned; more: any way will do
    turned_rows: float = 0.25  # 8: training pictures beyond that
    all_turned: float = 0.8  # 7: of the training pictures, where it is no augmentation
    surprise: float = 4.0  # 7: the same for pictures and sequences, in standard errors of the rows' means
    label_autocorrelation: float = 0.3  # 9
    parts_gap: float = 0.2  # 7: skill of a ridge within the parts over that across them
    parts_carried: float = 0.4  # 7: share of the skill within the parts that carries over
    parts_apart: float = 0.3  # 8: how well the parts' inputs are told apart, 0 by chance
    copies: float = 0.1  # 5: distance to the nearest row, over the usual one, below which it is a copy
    overlapping: float = 0.1  # 5: share of held-out sequences half of which stand in a training sequence
    moments: int = 200  # 5: distinct values of a series at least, so that few runs of them come again by chance
    column_stretch: float = 5.0  # 7: width of a column's middle half over that of the training rows
    pair_shift: float = 0.3  # 7: of the correlation between two features
    padding: float = 0.5  # 10: share of padded positions (SageMaker Debugger)

    # Wiring.
    memory: float = 99.0  # 29: steps that an optimizer averages over; a momentum of 0.99 is 100
    initial_loss: float = 0.5  # 14: |L0 - ln C| / ln C (TheDeepChecker)
    slow_rows: float = 0.3  # 12: rows wrong by half the range where the head is flat
    loud_table: float = 2.0  # 15: root mean square of fresh embeddings, which torch draws at 1
    fading: float = 1e-2  # 15: last over first hidden layer's deviation; plain layers of default weights reach 0.03
    growing: float = 30.0  # 15
    recurrent_gain: float = 3.0  # 15: of a recurrent layer's own weights; random ones of default size have 0.6
    recurrent_radius: float = 1.2  # 15: the same behind rectifiers, by its largest eigenvalue
    same_rows: float = 0.999  # 15: cosine of a layer's rows
    one_batch_loss: float = 0.05  # 20: share of the starting loss that may be left
    one_batch_steps: int = 200
    one_batch_least: int = 100  # 20: with fewer in the time nothing is said
    check_seconds: float = 4.0  # that one check before training may take
    proof_seconds: float = 5.0  # that proofs may take
    proof_share: float = 0.05  # or so much of the time that is planned or gone
    check_share: float = 0.03  # or so much of the time that is planned, where that is known

    # Signal flow.
    vanishing_ratio: float = 1e-3  # 21: first over last layer's gradient (AUTOTRAINER)
    deep: int = 6  # 21: layers from which on no optimizer is trusted to make up for a fading signal
    exploding_ratio: float = 10.0  # 22: gradient norm over its early median
    exploding_update: float = 0.1  # 22: update over weight
    spared: float = 0.35  # 23: of the way gone, by which the units that are left are enough
    dead_share: float = 0.5  # 23: units of a layer that never fire
    dead_at_start: float = 0.8  # 23: the same before any step, as many units are told apart by learning
    dead_samples: int = 512
    dead_seconds: float = 1.0  # 23: before training, that rows are sent through the network for this
    saturated_share: float = 0.5  # 24
    tanh_saturated: float = 0.97
    update_low: float = 1e-6  # 25: median update over weight; healthy is 1e-4 to 1e-2 (Karpathy)
    update_high: float = 0.05
    feature_cosine: float = 0.95  # 28
    rank_share: float = 0.1

    # Loss dynamics.
    diverged: float = 1.2  # 29: loss over the first loss, sustained
    risen: float = 1.5  # 29: smoothed loss over its minimum (trainproof)
    twin_gain: float = 0.8  # 29, 33: the twin's loss over the unchanged twin's
    twin_speed: float = 3.0  # 30: the twin's fall over the unchanged twin's
    rate_gone: float = 0.01  # 30: of the highest rate, below which a schedule is over
    spike: float = 2.0  # 32: loss over its rolling median (Lightning SpikeDetection)
    spike_deviations: float = 6.0
    leap: float = 10.0  # 32: one loss over all of the 50 before it
    spike_over: int = 20  # 32: steps within which a harmless spike is gone
    improvement: float = 1e-3  # 33: relative, over the window (SageMaker Debugger)
    overfit_rise: float = 0.05  # 35: validation loss over its minimum
    overfit_harm: float = 0.2  # 35: less of a rise is told as a note
    overfit_accuracy: float = 0.01  # 35: with less of a loss in accuracy it is a note
    overfit_surely: float = 0.5  # 35: unless the validation loss has risen by so much, and the best is not kept
    half_unknown: float = 0.7  # 35: of guessing's loss, that is left on rows which a copy has not learned from
    by_heart: float = 0.25  # 35: of guessing's loss that is left on held-out rows
    times_learned: int = 10  # 35: times that each row was learned
    overfit_patience: int = 5
    penalty_share: float = 0.5  # 36: weight decay's part of the objective
    modes_apart: float = 0.2  # 18: of guessing's loss, by which evaluation raises that of rows just learned
    norm_batch: int = 8  # 37: rows below which batch statistics are noise
    norm_batch_maps: int = 4  # 37: the same where each row has many places, as the usual tutorial of transfer has it

    shrunken: float = 0.7  # 36: weights over their first size
    pull: float = 0.3  # 36: of decay at a typical layer's weights over that of the loss
    pull_away: float = 10.0  # 36: the same, where the loss has no say any more
    heavy_dropout: float = 0.7  # 36
    ridge: float = 0.3  # 34: skill from which on a ridge is a bar for the network
    ridge_way: float = 0.5  # 34: share of the way that a ridge goes, which a network should go as well
    underfit_gap: float = 0.1  # 34: training accuracy below the vote of neighbors
    few_leave: float = 0.1  # 34: the same, where what more units would do is tried
    narrow_leaves: float = 0.4  # 34: share of the loss that is left where all rows pass through too few numbers

    # Families.
    sample_spread: float = 0.3  # 39: distance between generated samples over that between real ones
    young_generator: int = 10  # 39: evaluations within which samples that are much alike may still become less so
    sample_distance: float = 0.2  # 40: energy distance of samples from real rows, over the distance between those
    told_apart: float = 0.995  # 40: pairs of a real and a made row that a discriminator has in the right order
    rates_apart: float = 5.0  # 40: rate times turns of a player over the other's; Heusel et al. 2017 have 4
    noise: float = 0.1  # 39: deviation of what a generator is given, between rows; 1 is usual
    player_won: float = 0.1  # 40: a player's loss over its first
    kl_gone: float = 0.1  # 41: nats a row
    over_bound: float = 2.0  # 41: weight of the divergence over what it has in the evidence lower bound
    far_over_bound: float = 10.0  # 41: the same, from which on half the steps are enough
    reach: float = 1e-3  # 42: dependence on the first inputs over that on the last
    attention_score: float = 50.0  # 43
    trained_before: float = 1.5  # 43: largest singular value over that of random weights of the same size
    attention_growth: float = 2.0  # 43: over the first score, where the weights came in trained
    attention_entropy: float = 0.05  # 43: of its greatest

    # System.
    filled_row: float = 0.2  # 10: share of a row's steps, and of all, that fill up behind the end
    one_label_of_places: float = 0.9  # 10: of all places, that one label has where no other needs to be learned
    moved_by_filling: float = 3.0  # 10: what other filling moves of the answers, over what rows differ in them
    lost_updates: float = 0.6  # 27: half-precision weights that a step leaves as they are
    learned_well: float = 0.8  # 27: of the way, after which they need not move
    tiny_share: float = 0.1  # 27: half-precision gradients that are 0 or subnormal
    waiting_seconds: float = 8e-3  # 44: shorter waits cost less than half a minute in three thousand steps
    leak_share: float = 0.1  # of the memory, by which it grows before it is told though no tensor is seen to be kept
    leak_growth: float = 16.0  # 46: MiB
    later_half: float = 0.9  # 42: share of a ridge's skill that the later half of the sequences must leave unexplained
    few_rows: int = 300  # 4: rows in all, with fewer of which nothing held out says of labels that they are wrong
    many_rows: int = 2_000  # 4: that were learned from before it is said that nothing can be
    waiting_warn: float = 0.3  # 44 (trainproof)
    waiting_critical: float = 0.5
    leak_steps: int = 200  # 46
    leak_fit: float = 0.9
    cliff_seconds: float = 0.01  # 47: less of a change is a busy machine
    cliff: float = 3.0  # 47: median step time of the last fifth over the first half (trainproof)


THRESHOLDS = Thresholds()
