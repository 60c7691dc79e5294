"""Labels that a loss leaves out: pixels of no class and padding are no fault, a class that is left out is one."""

import torch
from torch import nn
from torch.nn import functional as F

from trainwell.doctor import Doctor

NAME = "targets-out-of-range"


def examined(model, loss, x, y):
    """Names of what is found in the first steps of a training by hand."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    doctor = Doctor(model, optimizer, loss=loss, mode="watch")
    for _ in range(3):
        found = loss(model(x), y)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        doctor.watch(found, x, y)
    return {finding.name for finding in doctor.findings}


def test_pixels_of_no_class_are_no_fault():
    torch.manual_seed(0)
    x = torch.randn(16, 3, 8, 8)
    y = (x.sum(1) > 0).long() + (x[:, 0] > 1).long()
    y[:, :2] = 255
    assert NAME not in examined(nn.Conv2d(3, 3, 1), nn.CrossEntropyLoss(ignore_index=255), x, y)


def test_labels_that_a_step_takes_out_itself_are_no_fault():
    def masked(scores, target):
        known = target < 3
        return F.cross_entropy(scores[known], target[known])

    torch.manual_seed(0)
    x = torch.randn(64, 5)
    y = x[:, :3].argmax(1)
    y[:9] = 99
    assert NAME not in examined(nn.Linear(5, 3), masked, x, y)


def test_missing_numbers_that_a_loss_leaves_out_are_no_fault():
    def masked(output, target):
        known = target.isfinite()
        return (torch.where(known, target, 0.0) - output)[known].square().mean()

    torch.manual_seed(0)
    x = torch.randn(64, 5)
    y = x[:, :2].clone()
    y[3, 1] = float("nan")
    assert NAME not in examined(nn.Linear(5, 2), masked, x, y)
    assert NAME in examined(nn.Linear(5, 2), nn.MSELoss(), x, y)


def test_padding_that_a_loss_leaves_out_is_no_fault():
    torch.manual_seed(0)
    words = torch.randint(1, 20, (12, 10))
    words[:, 7:] = 0

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)

        def forward(self, x):
            return self.head(self.embed(x)).transpose(1, 2)

    assert NAME not in examined(Net(), nn.CrossEntropyLoss(ignore_index=0), words, words)


def test_a_class_that_is_left_out_is_found():
    torch.manual_seed(0)
    x = torch.randn(90, 5)
    y = torch.arange(90) % 3
    assert NAME in examined(nn.Linear(5, 3), nn.CrossEntropyLoss(ignore_index=2), x, y)
    assert NAME not in examined(nn.Linear(5, 3), nn.CrossEntropyLoss(), x, y)


def test_no_label_left_is_found():
    x = torch.randn(64, 5)
    assert NAME in examined(nn.Linear(5, 3), nn.CrossEntropyLoss(ignore_index=-1), x, torch.full((64,), -1))
