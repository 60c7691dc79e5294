"""Series and sounds as people have them, with a fault planted in the files, each beside its healthy twin.

Written and put on record on 2026-11-21 at 11:29 UTC, before any of it was run and without a look at the rules.
"""

import csv
import random
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.doctor.setups import DATA
from benchmarks.doctor.soiled_tables import (
    FEATURES,
    IMBALANCE,
    LEAK,
    MISMATCH,
    NOISE,
    TARGETS,
    Rows,
    Soiled,
    _of,
    cell_of,
    each,
    number,
    permuted,
    put,
)


def hours(count: int = 3000) -> Rows:
    lines = list(csv.DictReader((DATA / "ett" / "ETTh1.csv").open()))[:count]
    return [{head: number(cell) for head, cell in row.items()} for row in lines]


def days() -> Rows:
    rows = list(csv.DictReader((DATA / "daily-min-temperatures" / "daily-min-temperatures.csv").open()))
    return [{"Date": row["Date"], "Temp": float(row["Temp"].strip("?"))} for row in rows][:2000]


def months() -> Rows:
    rows = list(csv.DictReader((DATA / "monthly-sunspots" / "monthly-sunspots.csv").open()))
    return [{"Month": row["Month"], "Sunspots": float(row["Sunspots"])} for row in rows]


def ahead(rows: Rows, chance: random.Random) -> None:
    """A column that holds what the target will be a day later."""
    for place, row in enumerate(rows):
        row["planned"] = rows[min(place + 24, len(rows) - 1)]["OT"]


def later(change: Callable[[dict[str, Any]], Any], column: str, share: float = 0.7) -> Callable[..., None]:
    """A column changed from a place on."""

    def soil(rows: Rows, chance: random.Random) -> None:
        for row in rows[int(share * len(rows)) :]:
            row[column] = change(row)

    return soil


def without(share: float) -> Callable[..., Rows]:
    return lambda rows, chance: [row for row in rows if chance.random() >= share]


def mixed(rows: Rows, chance: random.Random) -> Rows:
    chance.shuffle(rows)
    return rows


oil = _of(hours, "hours", {"target": "OT", "task": "forecast"})
cold = _of(days, "days", {"target": "Temp", "task": "forecast"})
spots = _of(months, "months", {"target": "Sunspots", "task": "forecast"})
SERIES = [
    oil("values dealt to other hours", permuted("OT"), (*FEATURES, *NOISE, "data-not-shuffled"), "order"),
    cold("rows in disorder", mixed, (*FEATURES, "data-not-shuffled"), "order", "sorted"),
    cold("one day in five lacking", without(0.2), FEATURES, "gap", "missing", "lack"),
    oil("a hundred hours twice", lambda rows, chance: sorted([*rows, *rows[500:600]], key=lambda row: row["date"]),
        (*FEATURES, *LEAK), "twice", "duplicate", "same"),
    oil("a column from the future", ahead, LEAK, "planned"),
    spots("-99 for missing months", each(put(Sunspots=lambda r, c: -99), 0.05), (*FEATURES, *TARGETS), "-99"),
    oil("a sensor that sticks", later(lambda row: 12.5, "HUFL"), (*FEATURES, *MISMATCH), "HUFL"),
    cold("Fahrenheit from a day on", later(lambda row: row["Temp"] * 1.8 + 32, "Temp"), MISMATCH, "Temp"),
    spots("one month a million times too large", cell_of(900, "Sunspots", 1e6), (*FEATURES, *TARGETS)),
    cold("values with units", each(put(Temp=lambda r, c: f"{r['Temp']} C")), (*FEATURES, *TARGETS), "number", "unit"),
]  # fmt: skip


Waves = list[tuple[str, int, np.ndarray]]  # a class, a rate in hertz, and whole numbers of 16 bits


def digits() -> Waves:
    """Fifty recordings each of four spoken digits."""
    waves = []
    for digit in (1, 4, 6, 9):
        files = sorted((DATA / "fsdd" / "recordings").glob(f"{digit}_*.wav"))
        for file in random.Random(5).sample(files, 50):
            with wave.open(str(file)) as sound:
                heard = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
                waves.append((str(digit), sound.getframerate(), heard))
    return waves


def sounds(soil: Callable[[Waves, random.Random], Waves], spoil: Callable[[bytes], bytes] | None = None) -> Any:
    """A folder of class folders; `spoil` changes the bytes of one file in five."""

    def make(folder: Path, planted: bool) -> Path:
        chance = random.Random(11)
        waves = soil(digits(), chance) if planted else digits()
        shutil.rmtree(folder / "sounds", ignore_errors=True)
        for place, (name, rate, heard) in enumerate(waves):
            path = folder / "sounds" / name / f"{place:04}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rate)
                file.writeframes(heard.astype(np.int16).tobytes())
            if planted and spoil and chance.random() < 0.2:
                path.write_bytes(spoil(path.read_bytes()))
        return folder / "sounds"

    return make


def some(change: Callable[[np.ndarray], np.ndarray], share: float, only: str = "") -> Callable[..., Waves]:
    return lambda waves, chance: [
        (name, rate, change(heard) if (not only or name == only) and chance.random() < share else heard)
        for name, rate, heard in waves
    ]


def clipped(heard: np.ndarray) -> np.ndarray:
    return np.clip(heard.astype(np.int64) * 60, -32768, 32767)


def hummed(heard: np.ndarray) -> np.ndarray:
    """With the hum of the mains."""
    hum = 1500 * np.sin(2 * np.pi * 50 * np.arange(len(heard)) / 8000)
    return np.clip(heard + hum, -32768, 32767)


def misheard(waves: Waves, chance: random.Random) -> Waves:
    """Three labels in ten are another digit's."""
    names = sorted({name for name, _, _ in waves})
    return [
        (chance.choice([n for n in names if n != name]) if chance.random() < 0.3 else name, rate, heard)
        for name, rate, heard in waves
    ]


def heard_again(waves: Waves, chance: random.Random) -> Waves:
    return [*waves, *chance.sample(waves, 60)]


def as_is(waves: Waves, chance: random.Random) -> Waves:
    return waves


def sound(name: str, make: Any, meant: tuple[str, ...], *told: str, command: str = "check") -> Soiled:
    return Soiled(name, "digits", make, meant, told, {}, command)


BROKEN = (".wav", "sound", "damaged", "read")
SOUNDS = [
    sound("three sounds in ten silent", sounds(some(np.zeros_like, 0.3)), FEATURES, "silent"),
    sound("three sounds in ten clipped", sounds(some(clipped, 0.3)), (*FEATURES, "input-not-normalized"), "clip"),
    sound("the mains hum in one class", sounds(some(hummed, 1.0, "4")), LEAK),
    sound("one class recorded at another rate", sounds(lambda waves, chance: [
        (name, 16000 if name == "6" else rate, heard) for name, rate, heard in waves]), (*LEAK, *MISMATCH),
              "hertz", "Hz"),
    sound("sounds twice", sounds(heard_again), LEAK, "twice", "duplicate"),
    sound("three sounds in ten under another digit", sounds(misheard), NOISE, command="fit"),
    sound("sounds cut off in the file", sounds(as_is, lambda raw: raw[:30]), FEATURES, *BROKEN),
    sound("sounds of no bytes", sounds(as_is, lambda raw: b""), FEATURES, *BROKEN),
    sound("one digit hardly there", sounds(lambda waves, chance: [
        each for place, each in enumerate(waves) if each[0] != "9" or place % 50 == 0]), IMBALANCE),
]  # fmt: skip
