"""Answers of tables in other forms: a variance beside the mean, embedded calendars, columns told with their errors."""

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf, loads
from benchmarks.doctor.loops.planted import FAST, NOTHING, SLOW, STEEP, Mistake
from benchmarks.doctor.outpatients.supervised_data import shells
from torch import Tensor, nn
from torch.nn import functional as F


def uncertain_rings(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Rings of shells with their own variance by the Gaussian likelihood; score: nats saved against a constant."""
    x, rings = shells()
    y = rings - 10 if name != "rings in hundredths" else rings * 100 - 1000
    model = nn.Sequential(nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=5e-3)

    def likelihood(found: Tensor, truth: Tensor) -> Tensor:
        mean, spread = found.unbind(1)
        if name == "a variance straight from the layer":
            return (0.5 * spread.log() + 0.5 * (truth - mean) ** 2 / spread).mean()
        if name == "the logarithm's sign forgotten":
            return (-0.5 * spread + 0.5 * (truth - mean) ** 2 * torch.exp(-spread)).mean()
        return (0.5 * spread + 0.5 * (truth - mean) ** 2 * torch.exp(-spread)).mean()

    clip = name == "clipped at a half"
    doctor = doctor_of(model, optimizer, loss=likelihood)
    for _ in range(8):
        for rows in torch.randperm(3200).split(64):
            optimizer.zero_grad()
            loss = likelihood(model(x[rows]), y[rows])
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    with torch.no_grad():
        mean, spread = model(x[3200:]).unbind(1)
        if name == "a variance straight from the layer":
            spread = spread.log()
        found = (0.5 * spread + 0.5 * (y[3200:] - mean) ** 2 * torch.exp(-spread)).mean()
        constant = 0.5 * y[:3200].var().log() + 0.5
    return float(constant - found)


class Calendar(nn.Module):
    """Embedded hour, weekday and month beside two measured series, as competitors on shop sales built it."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.hour, self.day, self.month = nn.Embedding(24, 8), nn.Embedding(7, 4), nn.Embedding(12, 6)
        for each in (self.hour, self.day, self.month):
            nn.init.uniform_(each.weight, -spread, spread)
        self.first, self.second, self.last = nn.Linear(20, 64), nn.Linear(64, 32), nn.Linear(32, 1)

    def forward(self, when: Tensor, measured: Tensor) -> Tensor:
        parts = (self.hour(when[:, 0]), self.day(when[:, 1]), self.month(when[:, 2]), measured)
        hidden = torch.tanh(self.first(torch.cat(parts, 1)))
        return self.last(torch.tanh(self.second(hidden))).squeeze(1)


def embedded_calendar(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A station's load by embedded calendar and two other series; score: share of variance explained on days apart."""
    when, series = loads()
    when = when.clone()
    days = torch.arange(len(when)) // 24 % 5 == 0
    series = (series - series[~days].mean(0)) / series[~days].std(0)
    measured, load = series[:, [5, 6]], series[:, 0]
    if name == "held-out hours in another zone of time":
        when[days, 0] = (when[days, 0] + 9) % 24
    if name == "a gap's mark of minus 9999 in a column":
        measured = torch.where(torch.rand(len(measured), 1) < 0.3, -9999.0, measured)
    known = torch.nonzero(~days).squeeze(1)
    net = Calendar(40.0 if name == "embeddings begun forty wide" else 0.05)
    rate = 2.0 if name == "a rate of plain steps left for Adam" else 3e-3
    embeddings = [*net.hour.parameters(), *net.day.parameters(), *net.month.parameters()]
    others = [each for layer in (net.first, net.second, net.last) for each in layer.parameters()]
    groups = [{"params": embeddings, "lr": rate * 2}, {"params": others, "lr": rate, "weight_decay": 1e-4}]
    opt = torch.optim.Adam(groups, lr=rate)
    doctor = doctor_of(net, opt)
    answers = load[known]
    if name == "answers of the rows beside":
        answers = load[known].roll(-1501)
    for _ in range(300):
        at = torch.randint(len(known), (128,))
        rows = known[at]
        opt.zero_grad()
        loss = F.l1_loss(net(when[rows], measured[rows]), answers[at])
        loss.backward()
        opt.step()
        doctor.watch(loss, (when[rows], measured[rows]), answers[at])
    doctor.close()
    with torch.no_grad():
        return 1 - float(F.mse_loss(net(when[days], measured[days]), load[days]) / load[days].var())


PROGRAMS = (uncertain_rings, embedded_calendar)
AWKWARD = (("uncertain_rings", "clipped at a half"),)
MISTAKES = (
    Mistake("uncertain_rings", "a variance straight from the layer", "non-finite-values", ("loss-head-mismatch",),
            False),
    Mistake("uncertain_rings", "the logarithm's sign forgotten", "gradient-ascent",
            ("loss-head-mismatch", "exploding-gradient", "non-finite-values", "learning-rate-too-high"), False),
    Mistake("uncertain_rings", "rings in hundredths", "targets-out-of-range",
            ("wrong-initial-loss", "exploding-gradient", "underfitting", *SLOW)),
    Mistake("embedded_calendar", "held-out hours in another zone of time", "preprocessing-mismatch", (), False),
    Mistake("embedded_calendar", "a gap's mark of minus 9999 in a column", "bad-features",
            ("input-not-normalized", "saturated-activations"), False),
    Mistake("embedded_calendar", "embeddings begun forty wide", "saturated-activations",
            (*STEEP, "update-ratio-off")),
    Mistake("embedded_calendar", "a rate of plain steps left for Adam", "learning-rate-too-high",
            (*FAST, "saturated-activations", "plateau")),
    Mistake("embedded_calendar", "answers of the rows beside", "label-noise", NOTHING, False),
)  # fmt: skip
