"""A column of sounds to waves of one rate and unequal length, padded only as far as a batch needs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.data.audio import AudioError, Sound, name_of, open_sound, resampled
from trainwell.data.encode_target import TargetEncoder
from trainwell.data.loader import fits
from trainwell.data.rows import Source, counted
from trainwell.data.schema import Schema
from trainwell.data.tokens import Ragged, within
from trainwell.errors import InputError, suggest

SLACK = 1.5  # clips longer than this times the 99th percentile are cut there
FASTEST = 16_000  # samples a second: speech and most other sounds lose nothing that tells them apart


class Waves(Ragged):
    """Waves of unequal length; asked for some, it pads them with silence: (rows, longest) float32."""

    def __getitem__(self, part: Any) -> Tensor:
        lengths = self.lengths[part]
        inside = within(lengths)
        places = self.starts[part].unsqueeze(1) + torch.arange(inside.shape[1], device=lengths.device)
        return self.values[places.clamp_max(len(self.values) - 1)] * inside


class SoundTransform:
    """What turns sounds into waves, fitted once and kept with the run.

    Layout "sound" gives x: (rows, samples) float32 from -1 to 1, padded with silence; "sound with length" adds how many
    samples of each row count, (rows,) long. Sounds that cannot be read are left out, counted and named in `notes`.
    """

    by_row = True

    def __init__(self, layout: str, target: TargetEncoder, column: str, rate: int, longest: int) -> None:
        self.layout, self.target, self.column = layout, target, column
        self.rate, self.longest = rate, longest  # samples a second; samples of a clip at most
        self.notes: list[str] = []
        self.digest = ""  # of the source that the notes already speak of

    @classmethod
    def fit(
        cls,
        source: Source,
        schema: Schema,
        rows: np.ndarray,
        *,
        layout: str = "sound with length",
        rate: int | None = None,
        seconds: float | None = None,
        target: str = "auto",
    ) -> "SoundTransform":
        """Choose the rate and the longest clip by these rows, and look at all others for what is odd.

        rate: samples a second, the commonest of the files unless given, 16,000 at most; seconds: where longer clips are
        cut. Raises InputError where there is no column of sounds or none of them can be read.
        """
        found = [column.name for column in schema.inputs if column.kind == "audio"]
        if not found:
            kinds = ", ".join(sorted({column.kind for column in schema.inputs})) or "none"
            raise InputError(f"{source.origin}: layout {layout!r} reads sounds; the columns are {kinds}")
        for name, value in (("rate", rate), ("seconds", seconds)):
            if value is not None and value <= 0:
                raise InputError(f"transform.{name}={value}: expected more than 0")
        cells = source.frame[found[0]].to_list()
        heard = [_without_samples(sound) for _, sound in _opened(cells)]
        learned = [sound for sound in (heard[row] for row in np.asarray(rows)) if isinstance(sound, Sound)]
        if not learned:
            wrong = [(row, sound) for row, sound in enumerate(heard) if isinstance(sound, AudioError)]
            reason = next((f"{name_of(cells[row], row)}: {sound}" for row, sound in wrong), "no rows")
            raise InputError(f"{source.origin}: none of {len(rows):,} sounds could be read ({reason})")
        lengths = [sound.seconds for sound in learned]
        rate = rate or min(FASTEST, Counter(sound.rate for sound in learned).most_common(1)[0][0])
        seconds = seconds or min(max(lengths), SLACK * float(np.quantile(lengths, 0.99)))
        answer = cls.answer(source, schema, np.asarray(rows), target)
        made = cls(layout, answer, found[0], rate, round(seconds * rate))
        made.notes += made.oddities([name_of(cell, row) for row, cell in enumerate(cells)], heard)
        made.digest = source.digest
        left = [f"{column.name} ({column.kind})" for column in schema.inputs if column.name != found[0]]
        if left:
            made.notes.append(f"columns that this layout does not read: {', '.join(left[:8])}")
        return made

    @classmethod
    def answer(cls, source: Source, schema: Schema, rows: np.ndarray, how: str) -> TargetEncoder:
        """What encodes the target, fitted on these rows."""
        return TargetEncoder.fit(source.frame[rows], schema, how)

    def encode(self, source: Source, rows: np.ndarray | None = None, with_target: bool = True) -> dict[str, Any]:
        """Rows as {"inputs": (waves,) or (waves, lengths), "target": tensor, "row": row numbers}.

        Raises InputError for a missing column, a target that is missing or of an unknown class, and more than memory
        holds.
        """
        if self.column not in source.frame.columns:
            raise InputError(
                f"{source.origin}: the column {self.column!r} is missing, which the model was trained with; "
                f"{suggest(self.column, source.columns)}"
            )
        places = np.arange(source.rows) if rows is None else np.asarray(rows)
        cells = source.frame[self.column][places].to_list()
        waves, kept = [], []
        heard: list[Sound | AudioError] = []
        for place, sound in _opened(cells):
            heard.append(_without_samples(sound))
            if isinstance(sound, Sound):
                waves.append(resampled(sound.samples, sound.rate, self.rate)[: self.longest])
                kept.append(place)
                self._check_memory(source, len(cells), len(waves))
        if not self.digest or source.digest != self.digest:  # the notes of `fit` speak of its source already
            notes = self.oddities([name_of(cell, int(row)) for row, cell in zip(places, cells, strict=True)], heard)
            self.notes += [note for note in notes if note not in self.notes]
        if not waves:
            raise InputError(f"{source.origin}: none of {len(cells):,} sounds could be read ({heard[-1]})")
        lengths = torch.tensor([len(wave) for wave in waves])
        inputs: tuple[Any, ...] = (
            Waves(torch.from_numpy(np.concatenate(waves)), lengths.cumsum(0) - lengths, lengths),
        )
        inputs += (lengths,) if self.layout != "sound" else ()
        result: dict[str, Any] = {"inputs": inputs, "row": torch.from_numpy(places[kept].astype(np.int64))}
        if with_target and self.target.columns:
            result["target"] = self.encoded_target(source.take(places[kept]))
        return result

    def _check_memory(self, source: Source, count: int, first: int) -> None:
        """Raises InputError at the first of so many sounds where all would take more memory than there is to spare."""
        if first == 1 and not fits(2 * self.longest * count):  # half of the longest, at 4 bytes a sample
            raise InputError(
                f"{source.origin}: {count:,} sounds take more memory than is to spare; give fewer, or cut them, as "
                "with --set transform.seconds=1"
            )

    def oddities(self, names: list[str], heard: list[Sound | AudioError]) -> list[str]:
        """One sentence for all that is odd about these sounds, counted by kind, the first of each named."""
        found: dict[str, list[str]] = {}
        for name, sound in zip(names, heard, strict=True):
            for kind, detail in self._odd(sound):
                found.setdefault(kind, []).append(f"{name}: {detail}" if detail else name)
        parts = []
        for kind, each in found.items():
            more = f" and {len(each) - 3:,} more" if len(each) > 3 else ""
            parts.append(f"{counted(len(each), 'sound')} {kind} ({', '.join(each[:3])}{more})")
        return ["; ".join(parts)] if parts else []

    def _odd(self, sound: Sound | AudioError) -> Iterator[tuple[str, str]]:
        """What is odd about one sound, and its figure."""
        if isinstance(sound, AudioError):
            yield "left out, unreadable", str(sound)
            return
        if sound.channels > 1:
            yield "mixed down to one channel", f"{sound.channels} channels"
        if sound.rate != self.rate:
            yield f"resampled to {self.rate:,} samples a second", f"{sound.rate:,}"
        if sound.bits == 8:
            yield "of 8 bits a sample, which hiss", ""
        if sound.clipped:
            yield "clipped at full scale, kept as found", ""
        if sound.silent:
            yield "silent throughout", ""
        if sound.seconds * self.rate > self.longest + 1:
            yield f"cut after {self.longest / self.rate:.2f} s", f"{sound.seconds:.2f} s"

    def encoded_target(self, source: Source) -> Any:
        """The answers of these rows as a tensor."""
        return torch.from_numpy(self.target.encode(source))

    @property
    def columns(self) -> list[str]:
        """The columns that `encode` reads, the target aside."""
        return [self.column]

    @property
    def supplies(self) -> dict[str, Any]:
        """What models and tasks ask for by name in their signatures."""
        found: dict[str, Any] = {"rate": self.rate, "outputs": self.target.outputs, "classes": self.target.outputs}
        if self.target.task != "classify" and self.target.columns:
            found.update({name: getattr(self.target, name) for name in ("center", "scale", "log", "low", "high")})
        return found

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The transform as JSON-able values, and no arrays."""
        state = {"version": 1, "layout": self.layout, "column": self.column, "rate": self.rate, "notes": self.notes}
        return {**state, "longest": self.longest, "target": self.target.save()}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "SoundTransform":
        """The transform that was saved."""
        target = TargetEncoder(**state["target"])
        return cls(state["layout"], target, state["column"], state["rate"], state["longest"])


def _opened(cells: list[Any]) -> Iterator[tuple[int, Sound | AudioError]]:
    """Each cell's place and its sound, or why it cannot be read."""
    for place, cell in enumerate(cells):
        try:
            yield place, open_sound(cell)
        except AudioError as error:
            yield place, error


def _without_samples(sound: Sound | AudioError) -> Sound | AudioError:
    return replace(sound, samples=sound.samples[:0]) if isinstance(sound, Sound) else sound
