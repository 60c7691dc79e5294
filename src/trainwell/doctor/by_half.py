"""A training that holds no rows out to what it would have learned of the other half of its rows from one half."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, tensors_in
from trainwell.doctor.replay import stands_in_rows
from trainwell.doctor.sample import row_hashes
from trainwell.doctor.suspect import TO_CURE, Suspect
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import each_tensor

if TYPE_CHECKING:
    from trainwell.doctor.proof import Proof

LIMITS = THRESHOLDS
FEWEST = 4  # rows of a batch that is judged on


def by_half(finding: Finding, suspect: Suspect, proof: "Proof") -> Finding | None:
    """The finding, if a copy that learns half of the rows from the first weights answers the other half hardly better
    than guessing; None where it does, where the copy does not learn its half, or where rows do not come one by one."""
    steps = max(50, suspect.length)
    parts = halves(suspect)
    if parts is None or not proof.may_spend(steps, suspect.step, suspect.planned, TO_CURE):
        return None
    (twin,) = proof.compare(suspect.patient, parts[0], {"": suspect.start}, steps, apart=parts[1]).values()
    if not (twin.end < LIMITS.by_heart * suspect.guess and twin.apart > LIMITS.half_unknown * suspect.guess):
        return None
    finding.confidence = 0.9
    finding.evidence += f" A copy that learned half of them, to {twin.end:.3g}, has {twin.apart:.3g} on the other half."
    return finding


def halves(suspect: Suspect) -> tuple[list[Any], list[Any]] | None:
    """Batches of one half of the rows at hand and of the other, no row in both; None where rows do not come one by
    one, each with its target."""
    batches = suspect.most
    if not all(map(stands_in_rows, batches)):
        return None
    parts = [tensors_in(each) for each in batches]
    if any(one.shape[1:] != other.shape[1:] for each in parts for one, other in zip(each, parts[0], strict=True)):
        return None
    hashes = [each for batch in batches for each in row_hashes(suspect.patient.inputs_of(batch))]
    first = {each: place for place, each in reversed(list(enumerate(hashes)))}
    places = torch.tensor(sorted(first.values()))
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
    rows = [torch.cat(each)[places] for each in zip(*parts, strict=True)]
    middle, size = len(places) // 2, len(parts[0][-1])

    def formed(begin: int, end: int) -> Any:
        given = iter([each[begin:end] for each in rows])
        return each_tensor(batches[0], lambda _: next(given))

    one, other = (range(0, middle, size), range(middle, len(places), size))
    learned = [formed(at, min(at + size, middle)) for at in one]
    return (learned, [formed(at, at + size) for at in other]) if middle else None


def not_among(patient: Patient, batches: Sequence[Any], apart: Sequence[Any]) -> Sequence[Any]:
    """The batches that are held apart without the rows that the others have as well, as where a loop draws its rows
    with replacement; as they are where rows do not come one by one, or too few would be left."""
    if not all(map(stands_in_rows, (*batches, *apart))):
        return apart
    known = {each for batch in batches for each in row_hashes(patient.inputs_of(batch))}
    new = [[at for at, each in enumerate(row_hashes(patient.inputs_of(batch))) if each not in known] for batch in apart]
    kept = [(batch, places) for batch, places in zip(apart, new, strict=True) if len(places) >= FEWEST]
    return [each_tensor(batch, partial(_picked, places)) for batch, places in kept] or apart


def _picked(places: list[int], rows: torch.Tensor) -> torch.Tensor:
    return rows[torch.tensor(places, device=rows.device)]
