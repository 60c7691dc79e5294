"""Numbers and names to the way a person reads them: separators, rounding by the interval, units, short lists."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"

# The metric's key, to its words, whether more is better, and whether it is read in percent.
METRICS: dict[str, tuple[str, bool, bool]] = {
    "accuracy": ("accuracy", True, True),
    "balanced_accuracy": ("balanced accuracy", True, True),
    "top5_accuracy": ("accuracy of the first five", True, True),
    "f1": ("F1", True, False),
    "macro_f1": ("F1, mean of classes", True, False),
    "f1_macro": ("F1, mean of classes", True, False),
    "precision": ("precision", True, True),
    "recall": ("recall", True, True),
    "roc_auc": ("area under the ROC curve", True, False),
    "auroc": ("area under the ROC curve", True, False),
    "every_label_right": ("every label right", True, True),
    "auc": ("area under the ROC curve", True, False),
    "average_precision": ("average precision", True, False),
    "matthews": ("Matthews correlation", True, False),
    "r2": ("R² (variation explained)", True, False),
    "spearman": ("rank correlation (Spearman)", True, False),
    "miou": ("mean overlap (IoU)", True, True),
    "pixel_accuracy": ("pixels right", True, True),
    "loss": ("loss", False, False),
    "log_loss": ("log loss", False, False),
    "brier": ("Brier score", False, False),
    "ece": ("calibration error", False, True),
    "calibration_error": ("calibration error", False, True),
    "rmse": ("root-mean-square error", False, False),
    "root_mean_squared_error": ("root-mean-square error", False, False),
    "span_f1": ("F1 of entities", True, True),
    "answer_f1": ("F1 of answers", True, True),
    "exact_match": ("exact match", True, True),
    "has_answer_f1": ("F1 where there is an answer", True, True),
    "has_answer_exact": ("exact match where there is an answer", True, True),
    "no_answer_right": ("“no answer” where there is none", True, True),
    "bleu": ("BLEU", True, False),
    "chrf": ("chrF", True, False),
    "rouge1": ("ROUGE-1", True, False),
    "rouge2": ("ROUGE-2", True, False),
    "rougeL": ("ROUGE-L", True, False),
    "mse": ("mean square error", False, False),
    "nats": ("nats a token", False, False),
    "mae": ("mean absolute error", False, False),
    "mean_absolute_error": ("mean absolute error", False, False),
    "median_absolute_error": ("median absolute error", False, False),
    "map50": ("mean average precision at overlap 0.5", True, False),
    "map": ("mean average precision, overlaps 0.5 to 0.95", True, False),
    "told_apart": ("told from real ones (area under the ROC curve)", False, False),
    "copies": ("nearer to a training row than 95 % of held-out ones", False, True),
    "distance": ("sliced Wasserstein distance", False, False),
    "kl": ("nats for the code", False, False),
    "reconstruction": ("nats for the row given its code", False, False),
    "active_units": ("units of the code in use", True, False),
    "equal_error_rate": ("equal error rate", False, True),
    "found_at_1_percent_alarms": ("same pairs found at 1 % false alarms", True, True),
    "nearest_right": ("nearest neighbour of the same class", True, True),
    "character_error": ("characters wrong", False, True),
    "word_error": ("words wrong", False, True),
    "crps": ("continuous ranked probability score", False, False),
    "pinball": ("pinball loss", False, False),
    "nll": ("negative log likelihood, nats", False, False),
    "rank_mae": ("mean absolute error in ranks", False, False),
    "weighted_kappa": ("quadratic weighted kappa", True, False),
    "mape": ("mean absolute error, of the truth", False, True),
}
LOWER = ("loss", "error", "rmse", "mae", "mse", "perplexity", "brier", "deviance", "distance")


def metric_words(key: str) -> str:
    """A metric's key in words; an unknown one with spaces for its underscores."""
    return METRICS[key][0] if key in METRICS else key.replace("_", " ").replace("-", " ")


def more_is_better(key: str) -> bool:
    """Whether a higher value of the metric is the better one."""
    return METRICS[key][1] if key in METRICS else not any(part in key.lower() for part in LOWER)


def in_percent(key: str) -> bool:
    """Whether the metric is a share that reads best in percent."""
    return METRICS[key][2] if key in METRICS else key.endswith("accuracy")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether the value is a finite number; True and False are not numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def grouped(value: float, decimals: int = 0) -> str:
    """A number with a comma every three digits; negative decimals round to tens, hundreds and so on."""
    rounded = round(value, decimals)
    digits = f"{abs(rounded):,.{max(decimals, 0)}f}"
    return f"{MINUS}{digits}" if rounded < 0 else digits


def significant(value: float, digits: int = 3) -> str:
    """A number rounded to this many significant digits, with separators; very large and small ones as powers of ten."""
    if not is_number(value):
        return "not a number" if value is None or not isinstance(value, float) or math.isnan(value) else "infinite"
    if value == 0 or (isinstance(value, int) and abs(value) < 1e15):
        return grouped(value)
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size >= 12:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    return grouped(value, digits - 1 - size)


def brief(value: float) -> str:
    """A number in two digits, without zeros at its end: 0.005, 1.7e−5."""
    mantissa, mark, exponent = f"{value:.2g}".partition("e")
    return (mantissa + (f"e{int(exponent)}" if mark else "")).replace("-", MINUS)


def decimals_for(value: float, low: Any = None, high: Any = None, percent: bool = False) -> int:
    """How many decimals a value deserves: the interval's half width keeps two digits; without one, three in all."""
    if percent:
        narrow = is_number(low) and is_number(high) and 0 < (high - low) * 50 < 0.15
        return 2 if narrow else 1
    if is_number(low) and is_number(high) and high > low:
        return min(4 if abs(value) > 0.1 else 6, 1 - math.floor(math.log10((high - low) / 2)))
    return min(6, 2 - math.floor(math.log10(abs(value)))) if value else 2


def share(value: float, decimals: int = 1) -> str:
    """A share of one in percent: 0.986 to 98.6 %; what is not whole is not rounded to 100 %."""
    if 1 - 0.5 * 10.0 ** -(decimals + 2) <= value < 1:
        return f"> {grouped(100 - 10.0**-decimals, decimals)}{SPACE}%"
    return f"{grouped(value * 100, decimals)}{SPACE}%"


def written(value: Any, percent: bool, decimals: int, unit: bool = True) -> str:
    """A metric's value at these decimals, in percent where it is read so; a dash where there is none."""
    if not is_number(value):
        return DASH
    if percent:
        return share(value, decimals) if unit else grouped(value * 100, decimals)
    return grouped(value, decimals)


def bracket(low: Any, high: Any, percent: bool, decimals: int) -> str:
    """An interval in square brackets, or nothing where it is not known."""
    if not (is_number(low) and is_number(high)):
        return ""
    return f"[{written(low, percent, decimals, unit=False)}, {written(high, percent, decimals, unit=False)}]"


def aligned(cells: Sequence[str]) -> list[str]:
    """Cells of a right-aligned column, padded so that their decimal points stand below each other."""
    after = [len(cell.partition(".")[2]) if "." in cell else -1 for cell in cells]
    widest = max(after, default=-1)
    padded = []
    for cell, digits in zip(cells, after, strict=True):
        missing = "" if digits >= 0 or widest < 0 else "\N{PUNCTUATION SPACE}"
        padded.append(cell + missing + "\N{FIGURE SPACE}" * (widest - max(digits, 0)))
    return padded


def duration(seconds: Any) -> str:
    """Seconds as a person says them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if not is_number(seconds):
        return DASH
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min" + (f" {whole % 60}{SPACE}s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60:,}{SPACE}h" + (f" {minutes % 60}{SPACE}min" if minutes % 60 else "")


def spaced(text: Any) -> str:
    """The text with a space between each number and its percent sign, as all of the page has it."""
    return re.sub(r"(?<=\d) ?%", f"{SPACE}%", str(text))


def cut(text: Any, length: int = 28) -> str:
    """The text, or its beginning and an ellipsis where it is longer than this many characters."""
    text = str(text)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def listed(words: Iterable[str], most: int = 6) -> str:
    """Words as a list in a sentence: a, b and c; beyond the most, the number of the others."""
    words = [str(word) for word in words]
    if len(words) > most:
        words = [*words[: most - 1], f"{grouped(len(words) - most + 1)} more"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}" if words else ""


def counted(count: float, one: str, many: str = "") -> str:
    """A number with its noun: 1 row, 12 rows."""
    return f"{grouped(count)} {one if count == 1 else many or one + 's'}"
