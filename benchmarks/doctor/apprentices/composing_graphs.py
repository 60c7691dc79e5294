"""Nodes of a graph, a law of motion, names letter by letter: a GCN, a PINN, an RNN by hand, and what goes wrong."""

import math
from functools import cache

import torch
from benchmarks.doctor.apprentices.composing_data import DoctorOf, chance, digits, first_names, padded
from benchmarks.doctor.loops.planted import FAST, NOTHING, SLOW, STEEP, Mistake
from torch import Tensor, nn
from torch.nn import functional as F


@cache
def likenesses() -> tuple[Tensor, Tensor, Tensor]:
    """900 digits as forty numbers each, a 1 between those that are near, and the digit."""
    x, y = digits("train", 900)
    x = x.flatten(1) - x.flatten(1).mean(0)
    x = x @ torch.linalg.svd(x, full_matrices=False)[2][:40].T
    near = torch.cdist(x, x).topk(7, largest=False).indices
    edges = torch.zeros(900, 900).scatter_(1, near, 1.0)
    return x / x.std(), ((edges + edges.T) > 0).float(), y


class GCN(nn.Module):
    """Neighbours' means and linear layers, with more rounds of means between them where there are any."""

    def __init__(self, between: Tensor | None, dropout: float) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(40, 32), nn.Linear(32, 10)
        self.between, self.dropout = between, dropout

    def forward(self, x: Tensor, adj: Tensor) -> Tensor:
        x = F.relu(adj @ self.first(x))
        if self.between is not None:
            x = self.between @ x
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(adj @ self.last(x), dim=1)


def graph(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A GCN on digits joined to those near them, twelve known of each; score: accuracy on the others."""
    x, edges, y = likenesses()
    order = torch.randperm(900, generator=chance())
    known = torch.cat([order[y[order] == digit][:12] for digit in range(10)])
    test = order[~torch.isin(order, known)][:700]
    if name == "a node without neighbours divided by how many it has":
        edges = edges.clone()
        edges[test[0]] = edges[:, test[0]] = 0
    root = edges.sum(1).rsqrt()
    adj = root[:, None] * edges * root
    train = order if name == "all nodes in the loss" else known
    rounds = torch.linalg.matrix_power(adj, 4096) if name == "four thousand rounds of neighbours" else None
    model = GCN(rounds, 0.7 if name == "seven tenths dropped" else 0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    doctor = doctor_of(model, optimizer)
    for _ in range(200):
        model.train()
        optimizer.zero_grad()
        loss = F.nll_loss(model(x, adj)[train], y[train])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (x, adj))
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(x, adj)[test].argmax(1) == y[test]).float().mean())


class FCN(nn.Module):
    """Time to place by tanhs."""

    def __init__(self, layers: int, size: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(1, size), nn.Tanh())
        self.middle = nn.Sequential(*(nn.Sequential(nn.Linear(size, size), nn.Tanh()) for _ in range(layers)))
        self.last = nn.Linear(size, 1)

    def forward(self, t: Tensor) -> Tensor:
        return self.last(self.middle(self.first(t)))


def spring(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A PINN of a damped swing from its start and its law; score: share of the way that is explained."""
    damping, pull = 1.0, 30.0
    swing = math.sqrt(pull - damping**2 / 4)
    pinn = FCN(2, 32)
    if name == "first weights from a normal three hundred wide":
        nn.init.normal_(pinn.first[0].weight, std=300.0)
    optimizer = torch.optim.Adam(pinn.parameters(), lr=5e-3)
    start, times = torch.zeros(1, 1, requires_grad=True), torch.linspace(0, 1, 40)[:, None].requires_grad_()
    detached = name == "speeds without their graph"
    doctor = doctor_of(pinn, optimizer)
    for _ in range(500):
        if name != "gradients never cleared":
            optimizer.zero_grad()
        u = pinn(start)
        speed = torch.autograd.grad(u, start, torch.ones_like(u), create_graph=True)[0]
        begun = (u - 1).square().mean() + 1e-1 * speed.square().mean()
        if name == "moments drawn anew for each step":
            times = torch.rand(40, 1, requires_grad=True)
        u = pinn(times)
        first = torch.autograd.grad(u, times, torch.ones_like(u), create_graph=True)[0]
        second = torch.autograd.grad(first, times, torch.ones_like(u), create_graph=True)[0]
        if detached:
            first, second = first.detach(), second.detach()
        loss = begun + 1e-3 * (second + damping * first + pull * u).square().mean()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, times)
    doctor.close()
    t = torch.linspace(0, 1, 200)[:, None]
    right = torch.exp(-damping / 2 * t) * (torch.cos(swing * t) + damping / 2 / swing * torch.sin(swing * t))
    with torch.no_grad():
        return 1 - float((pinn(t) - right).square().mean() / right.var())


class HandRNN(nn.Module):
    """A letter and the state through one layer, as in the tutorial on names."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.h2h, self.h2o = nn.Linear(27, 64), nn.Linear(64, 64), nn.Linear(64, 2)
        nn.init.eye_(self.h2h.weight)

    def forward(self, letter: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.i2h(letter) + self.h2h(hidden))
        return F.log_softmax(self.h2o(hidden), dim=1), hidden


def first_letter(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Whether a name began with a vowel, asked behind its end, by an RNN cell; score: 2 x accuracy - 1."""
    names = first_names()[:9000]
    vowel = torch.tensor([each[0] in "aeiou" for each in names]).long()
    number = {chr(97 + place): place + 1 for place in range(26)}
    letters = padded(names, number, 8, 0)
    far, right = letters[:1000], vowel[:1000]
    one, two = (torch.where(vowel[1000:] == each)[0] + 1000 for each in (0, 1))
    rnn = HandRNN()
    if name == "states that grow twelvefold at each letter":
        nn.init.eye_(rnn.h2h.weight)
        rnn.h2h.weight.data.mul_(12.0)
    if name == "states that fade at each letter":
        rnn.h2h.weight.data.mul_(0.01)
    criterion = nn.NLLLoss()
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.03)

    def read(line: Tensor) -> Tensor:
        hidden = torch.zeros(len(line), 64)
        for at in range(8):
            if name == "a new state at each letter":
                hidden = torch.zeros(len(line), 64)
            if name == "states detached at each letter":
                hidden = hidden.detach()
            output, hidden = rnn(F.one_hot(line[:, at], 27).float(), hidden)
        return output

    norm = {"clipped at five": 5.0, "clipped at a ten-thousandth": 1e-4}.get(name, math.inf)
    doctor = doctor_of(rnn, optimizer)
    for _ in range(400):
        rows = torch.cat((one[torch.randint(len(one), (16,))], two[torch.randint(len(two), (16,))]))
        loss = criterion(read(letters[rows]), vowel[rows])
        rnn.zero_grad()
        loss.backward()
        if norm < math.inf:
            nn.utils.clip_grad_norm_(rnn.parameters(), norm)
        optimizer.step()
        doctor.watch(loss)
    doctor.close()
    with torch.no_grad():
        found = read(far).argmax(1)
    return float((found[right == 1] == 1).float().mean() + (found[right == 0] == 0).float().mean() - 1)


PROGRAMS = (graph, spring, first_letter)
AWKWARD = (
    ("graph", "seven tenths dropped"),
    ("spring", "moments drawn anew for each step"),
    ("first_letter", "clipped at five"),
)
MISTAKES = (
    Mistake("graph", "a node without neighbours divided by how many it has", "non-finite-values", ("bad-features",),
            False),
    Mistake("graph", "all nodes in the loss", "data-leakage", (), False, "too good"),
    Mistake("graph", "four thousand rounds of neighbours", "representation-collapse",
            ("vanishing-gradient", *NOTHING), False),
    Mistake("spring", "first weights from a normal three hundred wide", "saturated-activations", STEEP),
    Mistake("spring", "gradients never cleared", "missing-zero-grad"),
    Mistake("spring", "speeds without their graph", "disconnected-parameters", ("underfitting", "plateau"), False),
    Mistake("first_letter", "states that grow twelvefold at each letter", "exploding-gradient",
            (*FAST, "bad-initialization", "wrong-initial-loss")),
    Mistake("first_letter", "clipped at a ten-thousandth", "plateau", SLOW),
    Mistake("first_letter", "states that fade at each letter", "vanishing-gradient",
            ("no-long-range-signal", "bad-initialization")),
    Mistake("first_letter", "a new state at each letter", "no-long-range-signal",
            ("disconnected-parameters", *NOTHING), False),
    Mistake("first_letter", "states detached at each letter", "no-long-range-signal",
            ("disconnected-parameters", *NOTHING), False),
)  # fmt: skip
