"""What a batch means: the loss to lower, the numbers to report, the answer to give; one kind of work a file."""

from trainwell.tasks.answer import Answer
from trainwell.tasks.classify import Classify
from trainwell.tasks.detect import Detect
from trainwell.tasks.diffusion import Diffusion
from trainwell.tasks.fill import Fill, MaskedLanguage, SpanCorruption
from trainwell.tasks.forecast import Forecast
from trainwell.tasks.gan import Adversarial
from trainwell.tasks.gaussian import Gaussian
from trainwell.tasks.language import Language
from trainwell.tasks.likeness import Likeness
from trainwell.tasks.loss import LOSSES
from trainwell.tasks.mixture import Mixture
from trainwell.tasks.ordinal import Ordinal
from trainwell.tasks.quantile import Quantile
from trainwell.tasks.recognize import Recognize
from trainwell.tasks.reconstruct import Reconstruct
from trainwell.tasks.regress import Regress
from trainwell.tasks.segment import Segment
from trainwell.tasks.spread import Spread
from trainwell.tasks.tag import Tag
from trainwell.tasks.task import Batch, Loss, Metrics, Task
from trainwell.tasks.translate import Summarize, Translate

TASKS: dict[str, type[Task]] = {
    "classify": Classify,
    "ordinal": Ordinal,
    "regress": Regress,
    "gaussian": Gaussian,
    "quantile": Quantile,
    "mixture": Mixture,
    "forecast": Forecast,
    "language": Language,
    "masked_language": MaskedLanguage,
    "span_corruption": SpanCorruption,
    "segment": Segment,
    "translate": Translate,
    "summarize": Summarize,
    "detect": Detect,
    "tag": Tag,
    "answer": Answer,
    "reconstruct": Reconstruct,
    "gan": Adversarial,
    "diffusion": Diffusion,
    "likeness": Likeness,
    "recognize": Recognize,
}

__all__ = [
    "LOSSES",
    "TASKS",
    "Adversarial",
    "Answer",
    "Batch",
    "Classify",
    "Detect",
    "Diffusion",
    "Fill",
    "Forecast",
    "Gaussian",
    "Language",
    "Likeness",
    "Loss",
    "MaskedLanguage",
    "Metrics",
    "Mixture",
    "Ordinal",
    "Quantile",
    "Recognize",
    "Reconstruct",
    "Regress",
    "Segment",
    "SpanCorruption",
    "Spread",
    "Summarize",
    "Tag",
    "Task",
    "Translate",
]
