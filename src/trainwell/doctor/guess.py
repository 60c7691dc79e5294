"""What guessing costs, by a loop's own loss: the best answer that is the same for all rows, found by descent."""

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import LBFGS

from trainwell.doctor.finding import UNFIT
from trainwell.doctor.patient import leaving_no_trace

if TYPE_CHECKING:
    from trainwell.doctor.trial import Trial

COLUMNS = 64  # of an answer at most; more of them would be fitted to the rows of a sample
BATCHES, STEPS = 8, 40
SECONDS = 0.02  # that the losses of all batches may take once
BOUND = 1e4  # times the first answers' size, beyond which a loss falls without end


class Same(nn.Module):
    """The same answer for every row, whatever it is asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer, self.rows = nn.Parameter(answer), 1

    def forward(self, *inputs: object, **named: object) -> Tensor:
        return self.answer.expand(self.rows, *self.answer.shape[1:]).clone()


def guess_of(trial: "Trial") -> float | None:
    """The mean loss of the best constant answer on a sample's batches; None where answers are not one tensor of (rows,)
    or of (rows, few), rows are too few to tell, or the loss has no bottom."""
    output, patient, batches = trial.output, trial.patient, trial.sample.batches[:BATCHES]
    if output is None or trial.target is None or not isinstance(trial.answer, Tensor) or output.dim() not in (1, 2):
        return None
    counts = [patient.rows(each) for each in batches]
    columns = output[0].numel() if len(output) else 0
    if len(output) != counts[0] or not 0 < columns <= min(COLUMNS, sum(counts)) or len(patient.players) > 1:
        return None
    same = Same(output.float().mean(0, keepdim=True))
    least = LBFGS([same.answer], max_iter=STEPS, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        total = torch.zeros(())
        for batch, rows in zip(batches, counts, strict=True):
            same.rows = rows
            total = total + rows * patient.loss(same, batch)
        return total / sum(counts)

    def closure() -> Tensor:
        least.zero_grad()
        value = cost()
        value.backward()
        return value

    try:
        with leaving_no_trace(), torch.enable_grad():
            began = time.thread_time()
            first = float(cost().detach())
            if time.thread_time() - began > SECONDS:
                return None
            least.step(closure)
            found = float(cost().detach())
    except UNFIT:
        return None  # the loss asks for more of the network than its answer
    size = float(same.answer.detach().abs().max())
    return found if -abs(first) * BOUND < found <= first and size < BOUND * (1 + float(output.abs().max())) else None
