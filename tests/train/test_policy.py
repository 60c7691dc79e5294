"""A task that makes its batches by sampling from the model: a policy's reward rises in the one loop."""

import torch
from torch import nn
from toy import TinyLoader, state_of, train

from trainwell.tasks.task import Loss, Task


class Bandit(Task):
    """REINFORCE with the mean reward as its baseline: the arm that the context names pays 1. Williams 1992."""

    def __init__(self) -> None:
        self.rewards: list[float] = []

    def batches(self, model, batch):
        context = batch["inputs"][0]
        with torch.no_grad():
            action = torch.distributions.Categorical(logits=model(context)).sample()
        reward = (action == batch["target"]).float()
        self.rewards.append(reward.mean().item())
        advantage = reward - reward.mean()
        for part in torch.arange(len(context)).chunk(2):  # two batches to learn from for one of contexts
            yield {"inputs": (context[part],), "action": action[part], "advantage": advantage[part]}

    def loss(self, model, batch, player):
        chosen = torch.distributions.Categorical(logits=model(*batch["inputs"])).log_prob(batch["action"])
        return Loss(-(chosen * batch["advantage"]).sum(), len(chosen))


def test_the_reward_of_a_policy_rises():
    torch.manual_seed(0)
    context = torch.eye(6).repeat(64, 1)
    arms = torch.tensor([3, 0, 5, 1, 4, 2]).repeat(64)
    task = Bandit()
    state = state_of(nn.Linear(6, 6), task, name="adam", lr=0.05)
    train(state, TinyLoader(context, arms, 64), epochs=25)
    assert sum(task.rewards[:3]) / 3 < 0.35  # chance is 1/6
    assert sum(task.rewards[-3:]) / 3 > 0.9
    assert (state.step, state.passed, len(task.rewards)) == (300, 150, 150)
