"""The page of an ailment in docs/ailments to the lesson that a report holds, so that it opens offline."""

import re
from functools import cache
from pathlib import Path

from markupsafe import Markup, escape

LESSONS = Path(__file__).parent / "lessons"


@cache
def lesson(page: str) -> Markup:
    """The lesson as HTML, without its title; empty where there is no such page."""
    path = LESSONS / Path(page).name
    if not page.endswith(".md") or not path.is_file():
        return Markup("")
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")[2:]
    return Markup("").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    """A paragraph, or a list where its lines are numbered or begin with a hyphen."""
    lines = block.splitlines()
    for pattern, tag in ((r"\d+\. ", "ol"), (r"- ", "ul")):
        if all(re.match(pattern, line) for line in lines):
            items = Markup("").join(
                Markup("<li>{}</li>").format(_inline(re.sub(pattern, "", x, count=1))) for x in lines
            )
            return Markup(f"<{tag}>{{}}</{tag}>").format(items)
    return Markup("<p>{}</p>").format(_inline(" ".join(lines)))


def _inline(text: str) -> Markup:
    """Bold, code, and the words of links."""
    safe = str(escape(text))
    safe = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", safe)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))
