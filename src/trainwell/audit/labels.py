"""Labels beside what other rows say of them, to whether a share of them is wrong: at random, one way, or all.

A hard task has misses too, but of another kind: they are many where classes meet, and hardly any where a class is told
most surely. Wrong labels strike clear rows as often as others.
"""

from collections.abc import Callable

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.files import pictures_of, sounds_of
from trainwell.audit.left_out import Told, alike, by_forest, by_ridge, chance_of_order
from trainwell.audit.points import of_pictures, of_sounds, of_table, of_texts
from trainwell.audit.view import View
from trainwell.doctor.finding import Finding

ROWS, TEXTS = 2_000, 1_000  # that are learned from
LEAST, FEW, CLASSES = 150, 5, 50  # rows in all and of a class, classes
CLEAR = 0.3  # of the rows, among which a hard task has hardly a miss
WRONG = 0.05  # of these carry another label, at least, by two standard errors
REST = 3 / 8  # of what there is to learn is missed for another reason, at most; 0.40 and more in hard tasks
FLAT = 0.45  # misses among the clear rows by those among all, at least
KNOWN = 0.6  # misses among the clear rows by those of guessing, at most: beyond it nothing is clear
REGION, SIDE, BACK = 30, 0.1, 0.15  # rows told to be of a class; what is wrong there or elsewhere; lost to the other
LEVEL, FOUND = 0.6, 0.7  # chance that a right label is told surer than a wrong one; rows of the class that are found
ENOUGH, BARE = 400, 2.0  # rows of which something would be told; standard errors of chance that are nothing
SHOWN = 5


def wrong_labels(view: View) -> list[Finding]:
    """A share of the labels that is wrong, by what is learned from all other rows."""
    if view.labels is None or view.rows < LEAST or not 2 <= len(view.classes) <= CLASSES:
        return []
    found = told(view)
    if found is None:
        return []
    rows, answers = found
    return _at_random(view, rows, answers) or _one_way(view, rows, answers) or _unrelated(view, answers)


def told(view: View) -> tuple[np.ndarray, Told] | None:
    """Some of the rows, and what the others tell of each; nothing for inputs of a kind that no learner here is for."""
    text, picture, sound = (view.column(kind) for kind in ("text", "image", "audio"))
    if view.table and len(view.inputs) >= 3:
        rows = _some(view.rows, ROWS)
        points = of_table(view, rows)
        return _of_classes(view, rows, lambda kept, names: by_forest(points[kept], names))
    if text is not None:
        rows = _some(view.rows, TEXTS)
        words = of_texts(view.series(text)[rows].fill_null("").to_list())
        near = (words @ words.T).toarray()
    elif picture is not None and picture in view.frame.columns:
        pictures = pictures_of(view, picture)
        if len(pictures.kept) < LEAST:
            return None
        rows, near = np.array(pictures.kept), alike(of_pictures(pictures.pixels))
    elif sound is not None:
        sounds = sounds_of(view, sound)
        if len(sounds.kept) < LEAST:
            return None
        rows, near = np.array(sounds.kept), alike(of_sounds(sounds.bands))
    else:
        return None
    return _of_classes(view, rows, lambda kept, names: by_ridge(near[np.ix_(kept, kept)], names))


def _some(rows: int, most: int) -> np.ndarray:
    """Rows drawn by chance, in their order."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def _of_classes(
    view: View, rows: np.ndarray, learn: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, Told] | None:
    """The rows of classes that have some, and what is learned of them by their places and their classes' numbers."""
    assert view.labels is not None
    labels = view.labels[rows]
    kinds, counts = np.unique(labels, return_counts=True)
    kinds = kinds[counts >= FEW]
    kept = np.flatnonzero(np.isin(labels, kinds))
    if len(kinds) < 2 or len(kept) < (2 * LEAST if len(kinds) == 2 else LEAST):
        return None  # of two classes a coin is right so often that few rows show nothing
    names = np.searchsorted(kinds, labels[kept])
    return rows[kept], Told(learn(kept, names), names, kinds)


def at_random(answers: Told) -> float | None:
    """The share of labels that are wrong without regard to how clear a row is (nothing where they are not), as the
    misses among the rows that are told most surely.

    Elsewhere no more may be missed than borders between classes explain, of what there is to learn.
    """
    clear = answers.wrong[answers.clearest(CLEAR)]
    wrong, every = float(clear.mean()), float(answers.wrong.mean())
    error = float(np.sqrt(max(wrong, 0.5 / len(clear)) * (1 - wrong) / len(clear)))
    guessing, low = 1 - answers.commonest, wrong - 2 * error
    if low < WRONG or wrong > KNOWN * guessing or wrong < FLAT * every:
        return None
    return wrong if every - low <= REST * (guessing - low) else None


def one_way(answers: Told) -> tuple[int, int, float] | None:
    """(class, class that its rows carry, share of them that do) where labels of one class are another's, at random.

    The other class has clear rows of its own, among the rows that are told to be of the first neither label is told
    surer than the other, and other classes, where there are any, are told well.
    """
    kinds, said_to_be, labels = answers.relative.shape[1], answers.relative.argmax(1), answers.labels
    best: tuple[float, tuple[int, int, float]] | None = None
    for one in range(kinds):
        found = float((said_to_be[labels == one] == one).mean())
        for other in range(kinds) if found >= FOUND else ():
            both = (said_to_be == one) & np.isin(labels, (one, other))
            theirs, home = labels[both] == other, said_to_be == other
            if one == other or both.sum() < REGION or home.sum() < REGION:
                continue
            share = float(theirs.mean())
            low = share - 2 * float(np.sqrt(share * (1 - share) / both.sum()))
            if low < SIDE or share > FOUND or (labels[home] == one).mean() > BACK:
                continue
            ahead = answers.relative[both, one] - answers.relative[both, other]
            level = chance_of_order(ahead, ~theirs) <= LEVEL
            clear = theirs[np.argsort(-answers.relative[both, one])[: both.sum() // 2]]
            beside = ~np.isin(labels, (one, other))
            easy = not beside.any() or (said_to_be != labels)[beside].mean() <= SIDE
            if level and easy and clear.mean() >= FOUND * share and (best is None or low > best[0]):
                best = low, (one, other, share)
    return best and best[1]


def unrelated(answers: Told) -> float | None:
    """The chance that a row of the class that is told best is told to be of it rather than another row, where that is
    no more than a coin gives."""
    rows = len(answers.labels)
    best, farthest = 0.5, 0.0
    for kind, count in enumerate(np.bincount(answers.labels).tolist()):
        if count >= ENOUGH // 20:
            chance = chance_of_order(answers.shares[:, kind], answers.labels == kind)
            away = (chance - 0.5) / np.sqrt((rows + 1) / (12 * count * (rows - count)))
            best, farthest = max(best, chance), max(farthest, float(away))
    return best if rows >= ENOUGH and farthest < BARE else None


def _at_random(view: View, rows: np.ndarray, answers: Told) -> list[Finding]:
    share = at_random(answers)
    if share is None:
        return []
    clear = answers.clearest(CLEAR)
    suspects = clear[answers.wrong[clear]]
    text = (
        f"{share:.0%} of the labels seem wrong: {len(suspects):,} of the {len(clear):,} rows whose class the others "
        f"tell most surely carry another label, nearly as many as of all {len(rows):,} looked at "
        f"({answers.wrong.mean():.0%}); in a hard task it would be few of them. {_shown(view, rows, answers, suspects)}"
    )
    cause = "Labels drawn anew, of other rows, or given in haste; or they hang on something that is no input."
    return [said("label-noise", f"column {view.target!r}", "warn", text, cause, 0.75)]


def _one_way(view: View, rows: np.ndarray, answers: Told) -> list[Finding]:
    found = one_way(answers)
    if found is None:
        return []
    one, other, share = found
    names = [view.classes[int(answers.kinds[kind])] for kind in (one, other)]
    suspects = np.flatnonzero((answers.relative.argmax(1) == one) & (answers.labels == other))
    suspects = suspects[np.argsort(-answers.relative[suspects, one], kind="stable")]
    text = (
        f"{share:.0%} of the rows that look like {names[0]!r} carry the label {names[1]!r} ({len(suspects):,} of "
        f"{len(rows):,} rows looked at), in the midst of the class as often as at its border, while rows that look "
        f"like {names[1]!r} are labeled so. {_shown(view, rows, answers, suspects)}"
    )
    cause = f"A part of {names[0]!r} was labeled {names[1]!r}, or the two differ in something that is no input."
    # Of two classes alone nothing shows that the task is easy elsewhere, and a rare one may be so by itself.
    several = len(answers.kinds) > 2
    where = f"classes {names[0]!r} and {names[1]!r}"
    return [said("label-noise", where, "warn" if several else "note", text, cause, 0.75 if several else 0.5)]


def _unrelated(view: View, answers: Told) -> list[Finding]:
    """Texts are left out: words of other texts tell too little to say that there is nothing."""
    best = unrelated(answers) if view.column("text") is None else None
    if best is None:
        return []
    text = (
        f"Of {len(answers.labels):,} rows, what the others show tells nothing of the class: a row of the class that is "
        f"told best looks more like it than another row does in {best:.0%} of pairs, where a coin gives 50%."
    )
    cause = (
        "Labels of other rows, as by a join on a wrong key, a shift or a sort of one column; or inputs that have "
        "nothing to do with the answer."
    )
    return [said("label-noise", f"column {view.target!r}", "warn", text, cause, 0.7)]


def _shown(view: View, rows: np.ndarray, answers: Told, suspects: np.ndarray) -> str:
    """The first suspects: which row or file, its label, and the class that the others tell."""
    shown = []
    for each in suspects[:SHOWN].tolist():
        row = int(rows[each])
        likely = int(answers.relative[each].argmax())
        label, instead = (view.classes[int(answers.kinds[kind])] for kind in (answers.labels[each], likely))
        shown.append(f"{_name(view, row)} is {label!r}, like {instead!r}")
    return f"Look at the first: {'; '.join(shown)}."


def _name(view: View, row: int) -> str:
    """A row's file, or its place as counted from 1."""
    for kind in ("image", "audio"):
        name = view.column(kind)
        if name is not None and name in view.frame.columns and isinstance(cell := view.series(name)[row], str):
            return repr(cell[-40:])
    return f"row {int(view.places[row]) + 1:,}"


RULES = (wrong_labels,)
