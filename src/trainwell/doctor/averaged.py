"""A generator's weights averaged over its latest steps since a cure, and whether they make rows as near to real ones.

After Yazici et al. 2019, arXiv:1806.04498: two players circle around where they would rest, which the average is near.
"""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, forget_hooks, leaving_no_trace
from trainwell.doctor.play import Play
from trainwell.doctor.players import reached, sample_distance

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

SHARE, SHORTEST = 10, 5  # of its steps that the average reaches back over, and how many at least
ROWS = 4096  # of each kind that both are compared by
WORSE, CHANCE = 1.1, 0.005  # times the distance of the last weights, and beside it, which the average may have


class Averaged:
    """Keeps the average once a cure has begun; `settle` puts it in the weights' place unless it does worse."""

    def __init__(self) -> None:
        self.mean: dict[str, Tensor] | None = None
        self.steps, self.on = 0, False

    def begin(self, doctor: "Ward", finding: Finding) -> None:
        """From here on, anew, as a cure of this has begun."""
        self.mean, self.steps, self.on = None, 0, doctor.patient is not None and doctor.patient.play is not None
        if self.on:  # what the cure will be judged by
            finding.statistic.setdefault("distance", reached(doctor.record))

    def stop(self) -> None:
        self.mean, self.on = None, False

    @torch.no_grad()
    def add(self, patient: Patient) -> None:
        """The generator's weights as they are now."""
        play = patient.play
        if not self.on or play is None or not play.maker:
            return
        self.steps += 1
        now = patient.bare.get_submodule(play.maker).state_dict()
        if self.mean is None:
            self.mean = {name: value.clone() for name, value in now.items()}
            return
        share = 1 / max(self.steps / SHARE, SHORTEST)
        floating = [(self.mean[name], value) for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floating], [value for _, value in floating], share)

    def settle(self, doctor: "Ward") -> None:
        """At the end: the average in place of the weights, unless its rows lie farther from real ones."""
        patient = doctor.patient
        play = patient.play if patient is not None else None
        if patient is None or play is None or self.mean is None or play.unlike or not play.real or not play.noises:
            return
        part = patient.bare.get_submodule(play.maker)
        now, then = _distance(part, play), _distance(_with(part, self.mean), play)
        if not then <= WORSE * max(now, 0.0) + CHANCE:
            return
        part.load_state_dict(self.mean)
        change = f"the generator's weights averaged over its last {int(max(self.steps / SHARE, SHORTEST))} steps"
        reason = f"What they make lies {then:.3f} from real rows, for {now:.3f} of the last weights."
        finding = doctor.history[-1]["finding"]
        doctor.history.append({"step": doctor.step, "change": change, "reason": reason, "finding": finding})
        doctor.tell(f"doctor, step {doctor.step}: {change}.")


def _with(part: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    other = copy.deepcopy(part)
    other.load_state_dict(weights)
    return other


def _distance(part: nn.Module, play: Play) -> float:
    """How far the rows lie that a copy makes of the noise kept, from the real rows kept."""
    other = copy.deepcopy(part)
    for module in other.modules():
        forget_hooks(module)
    real, noise = list(play.real), list(play.noises)
    batches = -(-ROWS // len(real[-1]))
    with leaving_no_trace(), torch.no_grad():
        made = torch.cat([other(each) for each in noise[-batches:]])
    parts = zip(made.split(256), torch.cat(real[-batches:]).split(256), strict=False)
    pairs = [(one, two) for one, two in parts if len(one) > 1 and len(two) > 1]
    return sum(sample_distance(*pair) for pair in pairs) / len(pairs)
