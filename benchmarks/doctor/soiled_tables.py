"""Tables and series as people have them, with a fault planted in the file, each beside its healthy twin.

Written and put on record on 2026-11-21 at 11:29 UTC, before any of it was run and without a look at the rules.
"""

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.doctor.setups import DATA

Rows = list[dict[str, Any]]
Make = Callable[[Path, bool], Path]  # a folder and whether to plant: what to point the command at


@dataclass(frozen=True)
class Soiled:
    """A planted fault of a source: its twin's name, what it may rightly be called, and how it is to be looked at.

    told: words of which one in a refusal (exit code 2) or a remark tells of the fault as well as a finding does.
    """

    name: str
    twin: str
    make: Make
    meant: tuple[str, ...]
    told: tuple[str, ...] = ()
    wishes: dict[str, Any] = field(default_factory=dict)
    command: str = "check"
    test: bool = False  # whether a test.csv lies beside what was made


LEAK, FEATURES, NOISE = ("data-leakage",), ("bad-features",), ("label-noise",)
TARGETS, MISMATCH, IMBALANCE = ("targets-out-of-range",), ("preprocessing-mismatch",), ("class-imbalance",)
ABALONE = "sex length diameter height whole_weight shucked_weight viscera_weight shell_weight rings"
GERMAN = "status months history purpose amount savings employed rate sex debtors resident property age plans housing"
HEADS = {
    "abalone": ABALONE.split(),
    "german-credit": [*GERMAN.split(), "credits", "job", "dependents", "telephone", "foreign", "risk"],
    "mammography": ["area", "gray", "gradient", "rms", "contrast", "moment", "class"],
    "iris": ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"],
}
FILES = {"german-credit": "german"}


def rows_of(name: str, count: int, seed: int = 7) -> Rows:
    """So many rows of a set drawn by chance, numbers as numbers."""
    lines = list(csv.reader((DATA / name / f"{FILES.get(name, name)}.csv").open()))
    heads = HEADS[name]
    picked = random.Random(seed).sample(lines, min(count, len(lines)))
    return [{head: number(cell.strip("'")) for head, cell in zip(heads, line, strict=True)} for line in picked]


def number(cell: str) -> Any:
    try:
        return float(cell) if cell else ""
    except ValueError:
        return cell


def houses(count: int = 1500, classes: bool = False) -> Rows:
    """California's blocks; the price as it is, or its third as a class."""
    picked = random.Random(7).sample(list(csv.DictReader((DATA / "california-housing" / "housing.csv").open())), count)
    rows = [{head: number(cell) for head, cell in row.items()} for row in picked]
    if classes:
        prices = sorted(row["median_house_value"] for row in rows)
        low, high = prices[count // 3], prices[2 * count // 3]
        for row in rows:
            price = row.pop("median_house_value")
            row["band"] = "low" if price < low else "middle" if price < high else "high"
    return rows


def credit() -> Rows:
    rows = rows_of("german-credit", 1000)
    for row in rows:
        row["risk"] = "good" if row["risk"] == 1 else "bad"
    return rows


def lesions(ills: int, rest: int) -> Rows:
    rows = rows_of("mammography", 12_000)
    for row in rows:
        row["class"] = "ill" if row["class"] == 1 else "well"
    kept = [row for row in rows if row["class"] == "ill"][:ills] + [row for row in rows if row["class"] == "well"][
        :rest
    ]
    random.Random(3).shuffle(kept)
    return kept


def write(path: Path, rows: Rows) -> Path:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, heads, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(base: Callable[[], Rows], soil: Callable[[Rows, random.Random], Rows | None]) -> Make:
    """A file of the base's rows, as they are or as `soil` leaves them (in place where it returns None)."""

    def make(folder: Path, planted: bool) -> Path:
        rows = base()
        if planted:
            rows = soil(rows, random.Random(11)) or rows
        return write(folder / "table.csv", rows)

    return make


def each(change: Callable[[dict[str, Any], random.Random], Any], share: float = 1.0) -> Callable[..., None]:
    """Change a share of the rows in place."""

    def soil(rows: Rows, chance: random.Random) -> None:
        for row in rows:
            if chance.random() < share:
                change(row, chance)

    return soil


def put(**cells: Callable[[dict[str, Any], random.Random], Any]) -> Callable[[dict[str, Any], random.Random], None]:
    """Fill columns, new ones or old ones, row by row."""

    def change(row: dict[str, Any], chance: random.Random) -> None:
        row.update({head: cell(row, chance) for head, cell in cells.items()})

    return change


def copied(rows: Rows, chance: random.Random, noise: float = 0.0) -> Rows:
    """Three in ten rows once more, to the last digit or nearly so, at places of chance."""
    extra = [dict(row) for row in chance.sample(rows, int(0.3 * len(rows)))]
    for row in extra:
        row.update({k: v * (1 + chance.gauss(0, noise)) for k, v in row.items() if noise and isinstance(v, float)})
    mixed = [*rows, *extra]
    chance.shuffle(mixed)
    return mixed


def numbered(rows: Rows, chance: random.Random) -> Rows:
    """A running number in a file that was written class by class, then shuffled."""
    ordered = sorted(rows, key=lambda row: row["risk"])
    for place, row in enumerate(ordered):
        row["application"] = 10_000 + 3 * place
    chance.shuffle(ordered)
    return ordered


def mislabeled(column: str, share: float) -> Callable[..., None]:
    def soil(rows: Rows, chance: random.Random) -> None:
        names = sorted({row[column] for row in rows})
        each(put(**{column: lambda row, c: c.choice([n for n in names if n != row[column]])}), share)(rows, chance)

    return soil


def permuted(column: str) -> Callable[..., None]:
    """A column's cells dealt to other rows, as a join on the wrong key does."""

    def soil(rows: Rows, chance: random.Random) -> None:
        cells = [row[column] for row in rows]
        chance.shuffle(cells)
        for row, cell in zip(rows, cells, strict=True):
            row[column] = cell

    return soil


def cell_of(place: int, column: str, factor: float) -> Callable[..., None]:
    def soil(rows: Rows, chance: random.Random) -> None:
        rows[place][column] *= factor

    return soil


def slipped(rows: Rows, chance: random.Random) -> None:
    """One row in twelve lost its first cell, so that all others stand a column too far to the left."""
    for row in rows:
        if chance.random() < 1 / 12:
            cells = list(row.values())
            row.update(zip(row, [*cells[1:], cells[0]], strict=True))


def heads_again(rows: Rows, chance: random.Random) -> Rows:
    """Four files one after the other, each with its header."""
    head = {name: name for name in rows[0]}
    step = len(rows) // 4
    return [
        row for start in range(0, len(rows), step) for row in ([head] if start else []) + rows[start : start + step]
    ]


def ragged(folder: Path, planted: bool) -> Path:
    path = write(folder / "table.csv", houses())
    if planted:
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line + (",,7" if place % 40 == 39 else "") for place, line in enumerate(lines)))
    return path


def apart(change: Callable[[Rows, Rows, random.Random], Any]) -> Make:
    """Rows to learn from, and a test.csv beside them that `change` may soil."""

    def make(folder: Path, planted: bool) -> Path:
        rows = houses()
        train, test = rows[:1200], rows[1200:]
        if planted:
            change(train, test, random.Random(11))
        write(folder / "test.csv", test)
        return write(folder / "table.csv", train)

    return make


def shared(train: Rows, test: Rows, chance: random.Random) -> None:
    test[:] = [*test[:180], *chance.sample(train, 120)]
    chance.shuffle(test)


def scaled_apart(train: Rows, test: Rows, chance: random.Random) -> None:
    """Numbers of each file standardized by that file's own mean and deviation."""
    for rows, shift in ((train, 0.0), (test, 1.5)):
        for head in ("median_income", "total_rooms", "population", "households"):
            values = [row[head] for row in rows]
            mean = sum(values) / len(values)
            deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
            for row in rows:
                row[head] = (row[head] - mean) / deviation + shift


HOUSE, BAND, RISK = ({"target": name} for name in ("median_house_value", "band", "risk"))
RINGS, ILL, SPECIES = ({"target": name} for name in ("rings", "class", "species"))


def abalone() -> Rows:
    return rows_of("abalone", 1500)


def bands() -> Rows:
    return houses(classes=True)


def _of(base: Callable[[], Rows], twin: str, wishes: dict[str, Any]) -> Callable[..., Soiled]:
    def planted(name: str, soil: Any, meant: tuple[str, ...], *told: str, command: str = "check") -> Soiled:
        return Soiled(name, twin, table(base, soil), meant, told, wishes, command)

    return planted


house, band, risk = _of(houses, "houses", HOUSE), _of(bands, "bands", BAND), _of(credit, "credit", RISK)
rings = _of(abalone, "abalone", RINGS)
species = _of(lambda: rows_of("iris", 150), "iris", SPECIES)
ill = _of(lambda: lesions(250, 1250), "lesions", ILL)


def text_of(value: Any) -> str:
    return f"{value} k$"


def written_dates(row: dict[str, Any], chance: random.Random) -> str:
    day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1988, 1990)
    form = chance.choice(["{2}-{1:02}-{0:02}", "{0:02}/{1:02}/{2}", "{1}.{0}.{2}", "{0} of {1}, {2}", "n/a"])
    return form.format(day, month, year)


TABLES = [
    house("target copied", each(put(value_usd=lambda r, c: r["median_house_value"])), LEAK, "value_usd"),
    house(
        "target copied with noise",
        each(put(assessed=lambda r, c: round(r["median_house_value"] * (1 + c.gauss(0, 0.02))))),
        LEAK,
        "assessed",
    ),
    house("target in thousands", each(put(tax=lambda r, c: round(r["median_house_value"] / 8e3) + 3)), LEAK, "tax"),
    risk("class under another code", each(put(file=lambda r, c: "K2" if r["risk"] == "bad" else "K7")), LEAK, "file"),
    risk("number given class by class", numbered, LEAK, "application"),
    risk(
        "filled after the outcome",
        each(put(reminder=lambda r, c: c.randint(1, 90) if r["risk"] == "bad" else "")),
        LEAK,
        "reminder",
    ),
    risk(
        "code right nine times in ten",
        each(put(desk=lambda r, c: "N" if (r["risk"] == "bad") == (c.random() < 0.95) else "S")),
        LEAK,
        "desk",
    ),
    rings("class of the target", each(put(stage=lambda r, c: "yab"[(r["rings"] > 8) + (r["rings"] > 11)])),
          LEAK, "stage"),
    rings("measured later", each(put(rings_later=lambda r, c: r["rings"] + c.choice((1, 1, 2)))), LEAK, "rings_later"),
    house("rows twice", copied, LEAK, "twice", "duplicate"),
    ill("rows nearly twice", lambda rows, chance: copied(rows, chance, 1e-4), LEAK, "twice", "duplicate"),
    band("one label in five wrong", mislabeled("band", 0.2), NOISE, command="fit"),
    ill(
        "one lesion in three not seen",
        each(put(**{"class": lambda r, c: "well" if r["class"] == "ill" and c.random() < 0.33 else r["class"]})),
        NOISE,
        command="fit",
    ),
    species(
        "half of a species under another's name",
        each(put(species=lambda r, c: "Iris-setosa" if "versi" in r["species"] and c.random() < 0.5 else r["species"])),
        NOISE,
        command="fit",
    ),
    band("labels joined by a wrong key", permuted("band"), (*NOISE, "cannot-fit-one-batch"), command="fit"),
    house(
        "columns with one value",
        each(put(state=lambda r, c: "CA", census=lambda r, c: 1990, weight=lambda r, c: 1.0)),
        FEATURES,
        "census",
        "constant",
    ),
    house("column nearly empty", each(put(pool=lambda r, c: 4.0 if c.random() < 0.01 else "")), FEATURES, "pool"),
    house(
        "-999 for missing",
        each(put(median_income=lambda r, c: -999, housing_median_age=lambda r, c: -999), 0.08),
        FEATURES,
        "-999",
    ),
    house("9999 for missing", each(put(housing_median_age=lambda r, c: 9999), 0.05), FEATURES, "9999"),
    house("numbers with units", each(put(median_income=lambda r, c: text_of(r["median_income"]))), FEATURES,
          "k$", "unit"),
    house("some numbers with units", each(put(median_income=lambda r, c: text_of(r["median_income"])), 0.1), FEATURES,
          "k$", "unit", "median_income"),
    house("one cell a million times too large", cell_of(90, "population", 1e6), (*FEATURES, "input-not-normalized")),
    house("one price a million times too large", cell_of(90, "median_house_value", 1e6), TARGETS + FEATURES),
    house(
        "one column in two units",
        each(put(total_rooms=lambda r, c: r["total_rooms"] / 1000), 0.4),
        (*FEATURES, *MISMATCH, "input-not-normalized"),
        "total_rooms",
    ),
    house("dates in five manners", each(put(surveyed=written_dates)), FEATURES, "surveyed", "date"),
    house("inf in a column", each(put(median_income=lambda r, c: "inf"), 0.02), (*FEATURES,
          "non-finite-values"), "finite"),
    house("cells a column too far left", slipped, (*FEATURES, *TARGETS), "median_house_value", "text", "number"),
    house("headers again in the middle", heads_again, (*FEATURES, *TARGETS), "header"),
    Soiled("lines with more cells", "houses", ragged, FEATURES, ("line", "cells", "fields", "columns"), HOUSE),
    Soiled("fifty to one", "lesions", table(lambda: lesions(250, 1250), lambda rows, chance: lesions(20, 1000)),
           IMBALANCE, (), ILL),
    species(
        "a class of one row",
        lambda rows, chance: [*rows, {**rows[0], "species": "Iris-sibirica"}],
        (*IMBALANCE, *TARGETS),
        "Iris-sibirica",
    ),
    rings("-1 for a target not known", each(put(rings=lambda r, c: -1), 0.06), (*TARGETS, *FEATURES), "-1"),
    rings("words among the targets", each(put(rings=lambda r, c: c.choice(["unknown", "many"])), 0.03),
          TARGETS, "unknown"),
    rings("targets mostly empty", each(put(rings=lambda r, c: ""), 0.9), TARGETS, "empty", "missing", "no value"),
    rings("target with one value", each(put(rings=lambda r, c: 9)), TARGETS, "same", "one value", "constant"),
    risk("one class in four spellings", each(put(risk=lambda r, c: c.choice(["good", "Good", "GOOD", "good "])
         if r["risk"] == "good" else "bad")), (*TARGETS, *NOISE, *IMBALANCE), "Good"),
    Soiled("test rows from the training", "houses apart", apart(shared), LEAK, (), HOUSE, "fit", True),
    Soiled("test rows in another unit", "houses apart", apart(lambda train, test, c: each(put(
        median_income=lambda r, c: r["median_income"] * 1000))(test, c)), MISMATCH, ("median_income",), HOUSE,
              "fit", True),
    Soiled("test rows scaled by themselves", "houses apart", apart(scaled_apart), MISMATCH, (), HOUSE, "fit", True),
    Soiled("test codes in other letters", "houses apart", apart(lambda train, test, c: each(put(
        ocean_proximity=lambda r, c: r["ocean_proximity"].lower()))(test, c)), MISMATCH, ("ocean_proximity",), HOUSE,
        "fit", True),
]  # fmt: skip
