"""What was wrong with an input, to the sentence that its user reads."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that its user can mend: the message names the file, row or key, what was found and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """


def suggest(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question, else the list of them, to end an error message with."""
    known = sorted(known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known[:30])}{' ...' if len(known) > 30 else ''}"
