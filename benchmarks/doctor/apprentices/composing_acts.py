"""What learns by acting: a DQN that catches balls, REINFORCE that holds a pole up, and what goes wrong in them."""

import copy
import random
from collections import deque
from dataclasses import dataclass

import torch
from benchmarks.doctor.apprentices.composing_data import DoctorOf
from benchmarks.doctor.loops.planted import FAST, Mistake
from torch import Tensor, nn
from torch.nn import functional as F

Moment = tuple[Tensor, int, float, Tensor, float]


@dataclass
class Catch:
    """A ball falls through seven rows of seven; the paddle below moves by one; a point more or less at the end."""

    ball: int = 0
    row: int = 0
    paddle: int = 3

    def reset(self) -> Tensor:
        self.ball, self.row, self.paddle = random.randrange(7), 0, random.randrange(7)
        return self.seen()

    def seen(self) -> Tensor:
        grid = torch.zeros(8, 7)
        grid[self.row, self.ball] = 1
        grid[7, self.paddle] = 1
        return grid.flatten()

    def step(self, action: int) -> tuple[Tensor, float, bool]:
        self.paddle = min(6, max(0, self.paddle + action - 1))
        self.row += 1
        done = self.row == 6
        return self.seen(), (1.0 if self.ball == self.paddle else -1.0) if done else 0.0, done


def td_loss(policy: nn.Module, target: nn.Module, batch: list[Moment], name: str) -> Tensor:
    """Huber's loss of the values taken against what the target network promises."""
    state, after = torch.stack([each[0] for each in batch]), torch.stack([each[3] for each in batch])
    action = torch.tensor([[each[1]] for each in batch])
    reward, going = torch.tensor([each[2] for each in batch]), torch.tensor([each[4] for each in batch])
    with torch.no_grad():
        expected = reward + 0.95 * going * target(after).max(1).values
    if name == "values gathered along the batch":
        return F.smooth_l1_loss(policy(state).gather(0, action).squeeze(1), expected)
    taken = policy(state).gather(1, action)
    if name == "a column of values against a row of answers":
        return F.smooth_l1_loss(taken, expected)
    return F.smooth_l1_loss(taken.squeeze(1), expected)


def catching(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A DQN with replay and a target network; score: share of balls caught."""
    game = Catch()
    policy = nn.Sequential(nn.Linear(56, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    target = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-3)
    memory: deque[Moment] = deque(maxlen=4000)
    doctor = doctor_of(policy, optimizer)
    state, log = game.reset(), []
    for step in range(500):
        for _ in range(6):
            eps = max(0.1, 1 - step / 250)
            with torch.no_grad():
                action = random.randrange(3) if random.random() < eps else int(policy(state).argmax())
            after, reward, done = game.step(action)
            memory.append((state, action, reward, after, 0.0 if done else 1.0))
            state = game.reset() if done else after
        batch = random.sample(list(memory), min(len(memory), 64))
        if name == "a growing log of the memory stacked for a picture each step":
            log += [moment[0] for moment in list(memory)[::20]]
            torch.stack(log).mean(0)
        loss = td_loss(policy, target, batch, name)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(policy.parameters(), 100)
        optimizer.step()
        if name == "the target network slowly drawn along":
            for mean, now in zip(target.parameters(), policy.parameters(), strict=True):
                mean.data.lerp_(now.data, 0.05)
        elif step % 20 == 19 and name != "the target network never renewed":
            target.load_state_dict(policy.state_dict())
        doctor.watch(loss)
    doctor.close()
    random.seed(1)
    caught = 0
    for _ in range(300):
        state, done = game.reset(), False
        while not done:
            with torch.no_grad():
                state, reward, done = game.step(int(policy(state).argmax()))
        caught += reward > 0
    return caught / 300


def pole(state: Tensor, push: Tensor) -> tuple[Tensor, Tensor]:
    """Carts and poles (rows, 4) a fiftieth of a second later, and which still stand."""
    x, speed, angle, turn = state.T
    force = push * 20.0 - 10.0
    sine, cosine = angle.sin(), angle.cos()
    pushed = (force + 0.05 * turn**2 * sine) / 1.1
    bend = (9.8 * sine - cosine * pushed) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    along = pushed - 0.05 * bend * cosine / 1.1
    state = torch.stack((x + 0.02 * speed, speed + 0.02 * along, angle + 0.02 * turn, turn + 0.02 * bend), 1)
    return state, (state[:, 0].abs() < 2.4) & (state[:, 2].abs() < 0.2095)


def episodes(policy: nn.Module, count: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """States, pushes and whether the pole still stood, moment by moment: (moments, rows, ...)."""
    state, up = torch.rand(count, 4) * 0.1 - 0.05, torch.ones(count, dtype=torch.bool)
    states, pushes, stood = [], [], []
    with torch.no_grad():
        while up.any() and len(states) < most:
            push = torch.multinomial(policy(state).softmax(1), 1).squeeze(1)
            states.append(state)
            pushes.append(push)
            stood.append(up)
            state, still = pole(state, push.float())
            up = up & still
    return torch.stack(states), torch.stack(pushes), torch.stack(stood)


def pole_up(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """REINFORCE with returns standardised; score: share of 150 moments that the pole stands."""
    policy = nn.Sequential(nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 2))
    rate = 3.0 if name == "a rate of three" else 1e-2
    optimizer = torch.optim.Adam(policy.parameters(), lr=rate)
    doctor = doctor_of(policy, optimizer)
    for _ in range(130):
        states, pushes, stood = episodes(policy, 8, 150)
        reward, returns = stood.float(), torch.zeros(stood.shape)
        running = torch.zeros(stood.shape[1])
        for at in reversed(range(len(reward))):
            running = reward[at] + 0.97 * running
            returns[at] = running
        seen = stood.flatten()
        returns = returns.flatten()[seen]
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
        scores = policy(states.flatten(0, 1)[seen])
        chosen = scores.log_softmax(1).gather(1, pushes.flatten()[seen][:, None]).squeeze(1)
        loss = -(chosen * returns).mean()
        if name == "the minus forgotten":
            loss = -loss
        if name == "a bonus for not deciding":
            loss = loss - 0.005 * torch.distributions.Categorical(logits=scores).entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss.item())
    doctor.close()
    torch.manual_seed(1)
    return float(episodes(policy, 64, 150)[2].float().sum(0).mean() / 150)


PROGRAMS = (catching, pole_up)
AWKWARD = (("catching", "the target network slowly drawn along"), ("pole_up", "a bonus for not deciding"))
MISTAKES = (
    Mistake("catching", "the target network never renewed", "disconnected-parameters",
            ("label-noise", "plateau", "underfitting"), False),
    Mistake("catching", "values gathered along the batch", "cross-sample-leak", ("loss-head-mismatch",), False),
    Mistake("catching", "a column of values against a row of answers", "loss-head-mismatch", ("label-noise",), False),
    Mistake("catching", "a growing log of the memory stacked for a picture each step", "step-time-cliff",
            ("memory-leak",), False, "symptom"),
    Mistake("pole_up", "the minus forgotten", "gradient-ascent", ("loss-head-mismatch",), False),
    Mistake("pole_up", "a rate of three", "learning-rate-too-high", (*FAST, "dying-relu", "saturated-activations")),
)  # fmt: skip
