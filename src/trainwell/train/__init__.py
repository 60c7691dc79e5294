"""A task, a model and batches to a trained model: one loop for every kind of work."""

from trainwell.train.evaluation import evaluate
from trainwell.train.events import Events
from trainwell.train.loop import train
from trainwell.train.optim import OPTIMIZERS, optimizer_for
from trainwell.train.schedule import SCHEDULES
from trainwell.train.settings import Settings
from trainwell.train.state import State

__all__ = ["OPTIMIZERS", "SCHEDULES", "Events", "Settings", "State", "evaluate", "optimizer_for", "train"]
