"""Targets and answers that a loop gives its loss otherwise than they are meant: each step's gradients made anew."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.doctor.finding import Finding
from trainwell.doctor.habits import alone
from trainwell.doctor.patient import Patient, as_tuple
from trainwell.doctor.remedy import Chart


def mend_targets(chart: Chart, finding: Finding) -> str | None:
    """A class that the loss leaves out learned like the others; two answers that are not shares taken for 0 and 1."""
    batches = chart.sample.batches if chart.sample is not None else []
    if not chart.seen or not alone(chart) or not all(isinstance(each[1], Tensor) for each in batches):
        return None
    target = torch.cat([each[1].flatten() for each in batches])
    if "The loss ignores class" in finding.evidence:
        _count_all(chart.patient)
        words = "the class that the loss leaves out learned like the others: mend its ignore_index"
    elif "takes shares" in finding.evidence and len(target.unique()) == 2:
        low, high = float(target.min()), float(target.max())
        _as_shares(chart.patient, low, high)
        words = f"answers of {low:.3g} and {high:.3g} taken for 0 and 1: put the same into your data to keep it"
    else:
        return None
    return _made_anew(chart, words)


def leave_plain(chart: Chart, finding: Finding) -> str | None:
    """The loss of the network's own answers, where the loop squashes or reshapes them between the two."""
    between = chart.facts.get("done by the loop")
    if between is None or chart.patient.plain_loss_of is None or not chart.seen or not alone(chart):
        return None
    chart.patient.loss_of = chart.patient.plain_loss_of
    return _made_anew(chart, f"the loop's {between} between the network and the loss left out")


def _made_anew(chart: Chart, words: str) -> str:
    chart.replay.one_back, chart.replay.latest = True, chart.seen[-1]
    chart.patient.scale = 1.0  # from now on the gradients are those of this loss
    return f"{words}; each step's gradients made anew, on the batch before"


def _count_all(patient: Patient) -> None:
    made = patient.loss_of

    def loss_of(model: nn.Module, batch: tuple[Any, Tensor], player: str) -> Tensor:
        output = patient.ask(model, as_tuple(batch[0]))
        if not isinstance(output, Tensor) or output.dim() != 2 or batch[1].dim() != 1:
            assert made is not None
            return made(model, batch, player)
        return F.cross_entropy(output, batch[1])

    patient.loss_of = loss_of


def _as_shares(patient: Patient, low: float, high: float) -> None:
    made = patient.loss_of

    def loss_of(model: nn.Module, batch: tuple[Any, Tensor], player: str) -> Tensor:
        assert made is not None
        return made(model, (batch[0], (batch[1] - low) / (high - low)), player)

    patient.loss_of = loss_of
