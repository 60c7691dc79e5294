"""What a network drew or rebuilt to the section that shows it: film, samples, copies, codes on a map, both players."""

from typing import Any

from markupsafe import Markup

from trainwell.report.files import Facts
from trainwell.report.overview import is_picture
from trainwell.report.plots import Line, curves
from trainwell.report.svg import WIDTH, Scale, drawing, element, words
from trainwell.report.wording import counted, cut, duration, grouped, is_number, share, significant

BUDGET = 900_000  # letters of all pictures of the section
CLASSES = 10  # that have a colour of their own
Figure = tuple[Markup, str]


def made_of(facts: Facts) -> dict[str, Any] | None:
    """The parts of the section, each missing where its files do not tell of it."""
    shown = facts.generated
    if not shown and not facts.film and not facts.scores:
        return None
    left = [BUDGET]
    return {
        "film": _film(facts, left),
        "samples": _sheet(shown.get("samples"), left),
        "rebuilt": _picture(shown.get("rebuilt"), left),
        "nearest": _nearest(shown.get("nearest"), left),
        "judged": _judged(facts.scores),
        "between": _picture(shown.get("between"), left),
        "way": _picture(shown.get("way"), left),
        "table": _table(shown.get("table")),
        "figures": [figure for figure in (_map(shown.get("map")), *_players(facts), _costs(facts)) if figure],
    }


def _picture(picture: Any, left: list[int]) -> str:
    """The picture where it is one and the page has room for it."""
    if not is_picture(picture) or len(picture) > left[0]:
        return ""
    left[0] -= len(picture)
    return str(picture)


def _film(facts: Facts, left: list[int]) -> list[dict[str, str]]:
    """The frames of one seed, each with when it was taken."""
    frames = []
    for number, line in enumerate(facts.film):
        picture = _picture(line.get("picture"), left)
        if picture and is_number(line.get("step")):
            when = "before the first step" if not line["step"] else f"step {grouped(line['step'])}"
            if line["step"] and is_number(line.get("seconds")):
                when += f", {duration(line['seconds'])}"
            last = number == len(facts.film) - 1
            frames.append({"picture": picture, "when": f"{when}, the weights that were kept" if last else when})
    return frames


def _sheet(saved: Any, left: list[int]) -> dict[str, Any] | None:
    if not isinstance(saved, dict) or not (picture := _picture(saved.get("picture"), left)):
        return None
    classes = [str(each) for each in saved.get("classes") or []]
    text = f"{counted(saved.get('count', 0), 'draw')} of seed 0, as they came: none was picked."
    text += f" Columns are the classes {', '.join(cut(each, 12) for each in classes)}." if classes else ""
    return {"picture": picture, "text": text}


def _nearest(saved: Any, left: list[int]) -> dict[str, Any] | None:
    """The pairs that lie closest, and what share of all draws lies closer than held-out rows usually do."""
    if not isinstance(saved, dict) or not is_number(saved.get("share")):
        return None
    part = saved["share"]
    verdict = "it copies" if part > 0.2 else "some may be copies" if part > 0.08 else "no sign of copying"
    text = (
        f"{share(part)} of {grouped(saved.get('count', 0))} draws lie nearer to something it was trained on than 95 % "
        f"of held-out ones do: {verdict}, as chance gives 5 %."
    )
    rows: Any = saved.get("rows")
    pairs = []
    for made, known in zip(*rows, strict=False) if isinstance(rows, list) and len(rows) == 2 else ():
        pairs += [("drawn", [str(cell) for cell in made]), ("nearest known", [str(cell) for cell in known])]
    names = [str(name) for name in saved.get("columns") or []]
    return {"picture": _picture(saved.get("pairs"), left), "text": text, "columns": names, "rows": pairs}


JUDGED = {  # what a judge measures, in words
    "frechet_distance": "Fréchet distance of its features, less is better",
    "precision": "precision: drawn ones that lie where real ones do",
    "recall": "recall: real ones that lie where drawn ones do",
    "sure": "drawn ones whose class it is 90 % sure of",
    "as_asked": "taken for the class that was asked for",
    "copies": "nearer to a training picture than 95 % of held-out ones",
}


def _judged(saved: dict[str, Any]) -> dict[str, Any] | None:
    """What a judge said of the draws, each number beside what real pictures get, where that is known."""
    judge, metrics = saved.get("judge"), saved.get("metrics")
    if not isinstance(judge, dict) or not isinstance(metrics, dict):
        return None
    real: dict[str, Any] = {"frechet_distance": saved.get("least_distance"), "copies": 0.05}
    real |= {"sure": judge.get("sure_of_real"), "as_asked": judge.get("right")}
    rows = []
    for key, name in JUDGED.items():
        if not is_number((metrics.get(key) or {}).get("value")):
            continue
        say = significant if key == "frechet_distance" else share
        rows.append((name, say(metrics[key]["value"]), say(real[key]) if is_number(real.get(key)) else ""))
    text = (
        f"{grouped(saved.get('rows', 0))} draws beside as many held-out pictures, as they look to {judge.get('name')}"
    )
    text += f" (weights {str(judge.get('sha256'))[:12]})."
    drawn = [f"{key} {value}" for key, value in (saved.get("drawn") or {}).items() if value is not None]
    text += f" Drawn with {', '.join(drawn)}." if drawn else ""
    shares = [(cut(name, 16), share(part)) for name, part in (saved.get("shares") or {}).items() if is_number(part)]
    return {"text": text, "rows": rows, "shares": shares if len(shares) <= 20 else []}


def _table(saved: Any) -> dict[str, Any] | None:
    """The first drawn rows, and how far each column of them is from the real ones."""
    if not isinstance(saved, dict) or not saved.get("rows"):
        return None
    spread = []
    for each in saved.get("spread") or []:
        real, drawn = each.get("real") or [], each.get("drawn") or []
        if each.get("kind") == "number" and len(real) == len(drawn) == 2:
            cells = [f"{significant(a)} ± {significant(b)}" for a, b in (real, drawn)]
        elif len(real) == len(drawn) == 1:
            cells = [f"{cut(each.get('level'), 16)}: {share(value)}" for (value,) in (real, drawn)]
        else:
            continue
        spread.append((str(each.get("column")), *cells))
    return {
        "columns": [str(name) for name in saved["columns"]],
        "rows": [[str(cell) for cell in row] for row in saved["rows"]],
        "spread": spread,
    }


def _map(saved: Any) -> Figure | None:
    """Codes on a plane, their classes in colours and by name at their middle."""
    if not isinstance(saved, dict) or not saved.get("x"):
        return None
    pairs = [(a, b) for a, b in zip(saved["x"], saved["y"], strict=False) if is_number(a) and is_number(b)]
    named = [str(each) for each in saved.get("class") or []]
    classes = sorted(set(named), key=lambda name: (len(name), name)) if len(named) == len(pairs) else []
    height = 300.0
    x = Scale(min(a for a, _ in pairs), max(a for a, _ in pairs), 14.0, WIDTH - 14)
    y = Scale(min(b for _, b in pairs), max(b for _, b in pairs), height - 12, 12.0)
    parts = []
    for place, (a, b) in enumerate(pairs):
        name = named[place] if classes else ""
        colour = f"dot c{classes.index(name) % CLASSES}" if classes else "dot first"
        inside = (element("title", name),) if name else ()
        parts.append(element("circle", *inside, cx=x(a), cy=y(b), r=3.0, class_=f"{colour} soft"))
    for name in classes[: 2 * CLASSES]:
        mine = sorted(pair for pair, of in zip(pairs, named, strict=True) if of == name)
        up = sorted(b for _, b in mine)
        at = x(mine[len(mine) // 2][0]), y(up[len(up) // 2])
        parts.append(words(at[0], at[1] + 4, cut(name, 12), "name strong halo", "middle"))
    text = f"The codes of {grouped(len(pairs))} held-out rows on a plane; neighbours there are neighbours in the code."
    if classes:
        text += " Colours and names are their classes, which it was not told; what lies apart it tells apart."
    return drawing(height, text, *parts), text


def _series(facts: Facts, key: str) -> tuple[list[float], list[float]]:
    steps = [event for event in facts.events if event.get("event") == "step" and is_number(event.get(key))]
    return [event["step"] for event in steps], [event[key] for event in steps]


def _players(facts: Facts) -> list[Figure | None]:
    """The losses of both players, and how often the first is right."""
    lines = [
        Line("discriminator", *_series(facts, "loss_discriminator")),
        Line("generator", *_series(facts, "loss_generator"), "second"),
    ]
    if not all(line.x for line in lines):
        return []
    text = "The losses of both players. Neither has to fall: what one gains the other loses, and level lines are good."
    found: list[Figure | None] = [(curves(lines, text, names=("step", "loss"), log=False), text)]
    x, y = _series(facts, "discriminator_accuracy")
    if x:
        late = sum(y[-max(1, len(y) // 5) :]) / max(1, len(y) // 5)
        said = "a discriminator that wins: the other learns little" if late > 0.95 else "a game that goes on"
        text = f"How often the discriminator scores the real one of a pair higher, {share(late)} at the end: {said}."
        text += " Guessing is 50 %."
        line = Line("right", x, y, "third")
        found.append((curves([line], text, names=("step", "right of pairs"), percent=True, log=False), text))
    return found


def _costs(facts: Facts) -> Figure | None:
    """The two parts of a variational model's loss over the steps."""
    lines = [
        Line("rebuilding", *_series(facts, "reconstruction")),
        Line("code", *_series(facts, "kl"), "second"),
    ]
    if not all(line.x for line in lines):
        return None
    text = (
        f"What a row costs in nats: {significant(lines[0].y[-1])} to say it given its code, and "
        f"{significant(lines[1].y[-1])} for the code, at the end."
    )
    text += " A code that costs nothing says nothing." if lines[1].y[-1] < 0.5 else ""
    return curves(lines, text, names=("step", "nats")), text
