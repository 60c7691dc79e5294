"""A named ailment with its evidence: what the doctor says, and the table of all that it can say."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

Severity = Literal["note", "warn", "critical"]


class Ailment(NamedTuple):
    """One row of the table: its number, its title in the field's words, its family and what first cures it."""

    number: int
    title: str
    family: str
    remedy: str

    @property
    def page(self) -> str:
        """The lesson's file under docs/ailments."""
        return f"{slug(self.title)}.md"


def slug(title: str) -> str:
    """A title as a name: lower case, words joined by hyphens."""
    return title.lower().replace("/", " ").replace(" ", "-")


_TABLE = (
    Ailment(1, "input not normalized", "data", "standardize the inputs by the training rows' mean and deviation"),
    Ailment(2, "bad features", "data", "drop constant columns, impute what is missing, winsorize outliers"),
    Ailment(3, "class imbalance", "data", "weight the classes by their frequency and report balanced accuracy"),
    Ailment(4, "label noise", "data", "look at the suspect rows; then a robust loss and an early stop"),
    Ailment(
        5, "data leakage", "data", "split again by row hash or group, and drop the column that gives the answer away"
    ),
    Ailment(6, "targets out of range", "data", "mend the mapping from labels to class indices"),
    Ailment(7, "preprocessing mismatch", "data", "use the transform fitted on the training rows for every part"),
    Ailment(8, "label-breaking augmentation", "data", "weaken or drop the augmentation that changes the label"),
    Ailment(9, "data not shuffled", "data", "shuffle the training rows every epoch"),
    Ailment(10, "padding or mask fault", "data", "mask the padded positions, and batch by length"),
    Ailment(
        11, "loss-head mismatch", "wiring", "give the loss what it expects: logits to cross-entropy, matching shapes"
    ),
    Ailment(12, "learning slowdown", "wiring", "replace the squared error behind a saturating output by cross-entropy"),
    Ailment(13, "gradient ascent", "wiring", "turn the sign of the loss, or unset `maximize`"),
    Ailment(14, "wrong initial loss", "wiring", "zero the last layer's weights and set its bias to the prior"),
    Ailment(15, "bad initialization", "wiring", "initialize again as the activation asks (He, Glorot, orthogonal)"),
    Ailment(16, "disconnected parameters", "wiring", "give them to the optimizer and remove what cuts their gradient"),
    Ailment(17, "missing zero grad", "wiring", "call optimizer.zero_grad() before each backward"),
    Ailment(18, "wrong train/eval mode", "wiring", "model.train() while training, model.eval() while validating"),
    Ailment(19, "cross-sample leak", "wiring", "mend the reshape, axis or mask that mixes rows or looks ahead"),
    Ailment(
        20, "cannot fit one batch", "wiring", "check that the inputs reach the output and the labels belong to them"
    ),
    Ailment(
        21, "vanishing gradient", "signal", "ReLU or GELU with He initialization, then normalization, then residuals"
    ),
    Ailment(22, "exploding gradient", "signal", "clip at a running percentile, then a lower rate"),
    Ailment(23, "dying ReLU", "signal", "roll back, lower the rate, then LeakyReLU or GELU"),
    Ailment(24, "saturated activations", "signal", "smaller initial weights, normalized inputs, or ReLU"),
    Ailment(25, "update ratio off", "signal", "scale the rate until updates are about a thousandth of the weights"),
    Ailment(26, "non-finite values", "signal", "discard the step, restore the last finite state, find the origin"),
    Ailment(27, "mixed-precision underflow", "signal", "bfloat16, or loss and norms in float32"),
    Ailment(28, "representation collapse", "signal", "a lower rate with warm-up, then a variance term"),
    Ailment(29, "learning rate too high", "dynamics", "roll back and divide the rate by 3 to 10"),
    Ailment(30, "learning rate too low", "dynamics", "multiply the rate by 3 to 10, or mend the schedule"),
    Ailment(31, "oscillating loss", "dynamics", "a third of the rate, then momentum or a larger batch"),
    Ailment(32, "loss spike", "dynamics", "skip that update; then clip and lower the rate"),
    Ailment(33, "plateau", "dynamics", "try a third and three times the rate, take the better"),
    Ailment(34, "underfitting", "dynamics", "less regularization, more epochs, then more width"),
    Ailment(35, "overfitting", "dynamics", "go back to the best checkpoint; augmentation, decay, dropout"),
    Ailment(36, "over-regularized", "dynamics", "a tenth of the weight decay, half the dropout"),
    Ailment(37, "batch too small", "dynamics", "accumulate or raise the batch; GroupNorm for BatchNorm"),
    Ailment(38, "training state lost", "dynamics", "save and restore optimizer, schedule, scaler and random state"),
    Ailment(39, "mode collapse", "families", "spectral norm or minibatch deviation, half the generator's rate"),
    Ailment(40, "one player wins", "families", "non-saturating loss, label smoothing, half the winner's rate"),
    Ailment(41, "posterior collapse", "families", "KL warm-up, then free bits, then a weaker decoder"),
    Ailment(
        42, "no long-range signal", "families", "LSTM or GRU with forget bias 1, orthogonal weights, detached state"
    ),
    Ailment(43, "transformer instability", "families", "warm-up, pre-norm, query-key norm, AdamW with beta2 0.95"),
    Ailment(44, "dataloader starvation", "system", "workers, prefetching and a cache; none for tiny sets"),
    Ailment(45, "underused device", "system", "a larger batch with its rate, mixed precision, compile"),
    Ailment(46, "memory leak", "system", "keep loss.item(), not the loss"),
    Ailment(47, "step-time cliff", "system", "look at the loader, the disk and the device's heat"),
)
AILMENTS: dict[str, Ailment] = {slug(ailment.title): ailment for ailment in _TABLE}
# Of kinds of fault that no rule had been made for, in three lists as each was first met (see benchmarks/doctor):
# how many were rightly named so first, and how many were named so first.
AT_FIRST_SIGHT: dict[str, tuple[int, int]] = {
    "bad-initialization": (3, 3),
    "cannot-fit-one-batch": (2, 3),
    "cross-sample-leak": (5, 6),
    "data-not-shuffled": (2, 3),
    "disconnected-parameters": (1, 2),
    "dying-relu": (3, 4),
    "label-noise": (1, 3),
    "learning-rate-too-high": (6, 8),
    "learning-rate-too-low": (7, 9),
    "loss-head-mismatch": (4, 4),
    "non-finite-values": (4, 4),
    "overfitting": (3, 3),
    "padding-or-mask-fault": (3, 4),
    "plateau": (1, 3),
    "preprocessing-mismatch": (3, 5),
    "training-state-lost": (0, 1),
    "transformer-instability": (0, 1),
    "underfitting": (2, 6),
    "wrong-initial-loss": (3, 5),
}
AS_ALL = (4.0, 5.0)  # what stands for a name seen seldom: of all first findings four in five were right


@dataclass
class Finding:
    """What ails, where, how it shows, why, and how sure that is; later also what was done and whether it helped.

    `name` is a key of AILMENTS; `evidence` a sentence with the measured number; `statistic` the numbers behind it:
    value, healthy range, a short series, the twins' curves.
    Raises KeyError for a name that is not in the table.
    """

    name: str
    where: str
    severity: Severity
    evidence: str
    cause: str
    confidence: float
    step: int = 0
    remedy: str = ""
    cured: bool | None = None
    statistic: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.remedy = self.remedy or AILMENTS[self.name].remedy

    @property
    def title(self) -> str:
        return AILMENTS[self.name].title

    @property
    def sure(self) -> float:
        """How sure to say that it is: no surer than such a name turned out to be where it was new."""
        right, named = AT_FIRST_SIGHT.get(self.name, (0, 0))
        return min(self.confidence, (right + AS_ALL[0]) / (named + AS_ALL[1]))

    def to_dict(self) -> dict[str, Any]:
        """The plain form, as a line of findings.jsonl holds it."""
        return {
            **asdict(self),
            "confidence": round(self.sure, 2),
            "number": AILMENTS[self.name].number,
            "page": AILMENTS[self.name].page,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Finding":
        """A line of findings.jsonl; raises KeyError or TypeError for what is no finding."""
        return cls(**{each.name: saved[each.name] for each in fields(cls) if each.name in saved})

    def __str__(self) -> str:
        where = f" in {self.where}" if self.where else ""
        since = f" since step {self.step}" if self.step else ""
        done = "Remedy" if self.cured is None else "Done"
        end = {True: " It helped.", False: " It did not help.", None: ""}[self.cured]
        return (
            f"{self.severity}: {self.title}{where}{since} ({self.sure:.0%} sure). {self.evidence} {self.cause} "
            f"{done}: {self.remedy}.{end} Lesson: docs/ailments/{AILMENTS[self.name].page}"
        )


# What a network, a loss or a check raises that was not made for the rows that it is asked about.
UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class CannotJudge(Exception):
    """Raised by a rule that lacks what it needs; its message says what, for the list of skipped checks."""
