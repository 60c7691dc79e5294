"""Sigmoid neuron: a perceptron whose step is smooth, so that its slope can teach it. Logistic regression, Cox 1958."""

import torch
from torch import Tensor, nn


class SigmoidNeuron(nn.Module):
    """Features to one score an output; the neuron's answer is the sigmoid of its score, between 0 and 1.

    x: (batch, features) -> (batch, outputs)

    Scores and not answers are given back, for the losses take the sigmoid's logarithm without rounding it to 0.
    """

    def __init__(self, features: int, outputs: int = 1) -> None:
        super().__init__()
        self.sum = nn.Linear(features, outputs)
        nn.init.xavier_uniform_(self.sum.weight)
        nn.init.zeros_(self.sum.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.sum(x.flatten(1))

    def answer(self, x: Tensor) -> Tensor:
        """How strongly each output answers, from 0 to 1: (batch, features) -> (batch, outputs)."""
        return torch.sigmoid(self(x))
