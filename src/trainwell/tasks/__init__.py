"""What a batch means: the loss to lower, the numbers to report, the answer to give; one kind of work a file."""

from trainwell.tasks.classify import Classify
from trainwell.tasks.loss import LOSSES
from trainwell.tasks.regress import Regress
from trainwell.tasks.task import Batch, Loss, Metrics, Task

TASKS: dict[str, type[Task]] = {
    "classify": Classify,
    "regress": Regress,
}

__all__ = ["LOSSES", "TASKS", "Batch", "Classify", "Loss", "Metrics", "Regress", "Task"]
