"""An evaluation to the pictures that were drawn for it, and the curves of what is found over what is right."""

from typing import Any

from trainwell.report import plots
from trainwell.report.files import Facts
from trainwell.report.wording import cut, grouped, is_number, share

LARGEST = 150_000  # letters of one picture
STYLES = ("first", "second", "third", "fourth")


def is_jpeg(picture: Any) -> bool:
    """Whether this is the base64 text of a JPEG, so that nothing else gets into the page as an address."""
    return (
        isinstance(picture, str)
        and picture.startswith("/9j/")
        and picture.replace("=", "").replace("+", "").replace("/", "").isalnum()
    )


def drawn_of(facts: Facts, budget: int = 900_000) -> dict[str, Any] | None:
    """Pictures with answer and truth drawn into them, as far as the page's size allows."""
    cards = []
    for entry in facts.evaluation.get("drawn") or []:
        picture = str(entry.get("picture", "")) if isinstance(entry, dict) else ""
        if is_jpeg(picture) and len(picture) <= min(budget, LARGEST):
            budget -= len(picture)
            cards.append({"picture": picture, "text": str(entry.get("text", ""))})
    if not cards:
        return None
    least = facts.evaluation.get("threshold_shown")
    sure = f" Answers less sure than {grouped(least, 2)} are not shown." if is_number(least) else ""
    text = "Held-out pictures: answers in colour with class and score, true boxes dashed in white." + sure
    return {"cards": cards, "text": str(facts.evaluation.get("drawn_text") or text)}


def precision_recall_of(facts: Facts) -> tuple[Any, str] | None:
    """How right the answers are, over how many of the boxes are found, class by class."""
    saved = [each for each in facts.evaluation.get("precision_recall") or [] if isinstance(each, dict)]
    lines = [
        plots.Line(cut(each.get("class"), 14), each["recall"], each["precision"], STYLES[place])
        for place, each in enumerate(saved[: len(STYLES)])
        if each.get("recall") and each.get("precision")
    ]
    if not lines:
        return None
    text = "Showing less sure answers too finds more of the boxes (to the right) and lets more of them be wrong (down)."
    firm = [(max((x for x, y in zip(line.x, line.y, strict=True) if y >= 0.9), default=0.0), line) for line in lines]
    found, best = max(firm, key=lambda pair: pair[0])
    if found:
        text += f" Where nine of ten answers {best.name} are right, it finds {share(found)} of them."
    if len(saved) > len(lines):
        text += f" Shown are the first {len(lines)} of {len(saved)} classes."
    return plots.curves(lines, text, names=("share of the boxes found", "right of the answers"), log=False), text
