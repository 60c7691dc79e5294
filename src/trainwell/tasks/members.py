"""The outputs of an ensemble inside one model to one loss and one answer a row."""

import torch
from torch import Tensor

from trainwell.errors import InputError
from trainwell.tasks.task import Batch


def member_weights(outputs: Tensor, batch: Batch, folds: int) -> Tensor:
    """Which members count for which row: (batch, members), rows summing to one.

    outputs: (batch, members, ...) -> (batch, members)
    With folds, member m never learns from the rows of fold m modulo folds (`batch["fold"]`), and alone answers for
    them when they are held out (`batch["held_out_fold"]`). Without, all count alike.
    Raises InputError if there are fewer members than folds, as some rows would then have nobody to answer for them.
    """
    rows, members = outputs.shape[:2]
    if not folds or ("fold" not in batch and "held_out_fold" not in batch):
        return outputs.new_full((rows, members), 1 / members)
    if not 1 < folds <= members:
        raise InputError(f"split: {folds} folds need at least two and no more than the model's {members} members")
    held_out = "held_out_fold" in batch
    fold = batch["held_out_fold" if held_out else "fold"]
    own = (torch.arange(members, device=outputs.device) % folds)[None, :] == fold[:, None]
    chosen = own if held_out else ~own
    chosen = (chosen | ~chosen.any(1, keepdim=True)).to(outputs.dtype)  # a row of no fold is answered by all
    return chosen / chosen.sum(1, keepdim=True)


def refuse_folds(outputs: Tensor, batch: Batch) -> None:
    """Raises InputError for held-out folds where the model has no members: it would be judged on what it learned."""
    if outputs.dim() == 2 and "held_out_fold" in batch:
        raise InputError(
            "split: folds need a model with members, such as tabm; else set split.folds=0 and split.val=0.2"
        )


def apart(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Members as rows of their own, each with the row's target: (batch * members, ...) both.

    outputs: (batch, members, ...) -> (batch * members, ...)
    """
    return outputs.flatten(0, 1), target.repeat_interleave(outputs.shape[1], 0)
