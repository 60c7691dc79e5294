"""Loops of other shapes: an attack before each step, two passes a step, stages, experts, lists, a crowd at once."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.harness.planted import DEAD, FAST, STEEP, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.outpatients.supervised_data import houses, numerals, photos, shells, standard
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

DoctorOf = Callable[..., Any]


def attacked(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Numerals moved against the network before each step; score: mean accuracy with and without the attack."""
    (x, y), (far, right) = numerals("train", 6000), numerals("test", 1000)
    size, middle, spread = (255.0, 0.0, 1.0) if name == "pixels up to 255" else (1.0, 0.13, 0.31)
    x, far = (x * size - middle) / spread, (far * size - middle) / spread
    lowest, highest = float(x.min()), float(x.max())
    model = nn.Sequential(nn.Conv2d(1, 12, 5, 2), nn.ReLU(), nn.Conv2d(12, 24, 5, 2), nn.ReLU(), nn.Flatten(),
                          nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 10))  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

    def moved(photo: Tensor, target: Tensor, radius: float) -> Tensor:
        photo = photo.clone().requires_grad_()
        loss = F.cross_entropy(model(photo), target)
        if name == "gradients of the attack and of all steps kept":
            loss.backward()
            slope = photo.grad
        else:
            (slope,) = torch.autograd.grad(loss, photo)
        assert slope is not None
        return (photo + radius * size / spread * slope.sign()).clamp(lowest, highest).detach()

    doctor = doctor_of(model, optimizer, loss=nn.functional.cross_entropy)
    for step in range(300):
        at = torch.randint(6000, (48,))
        photo = moved(x[at], y[at], 0.1 * min(1.0, step / 100))
        if name != "gradients of the attack and of all steps kept":
            optimizer.zero_grad()
        loss = F.cross_entropy(model(photo), y[at])
        if name == "clean and attacked ones, half of each":
            loss = (loss + F.cross_entropy(model(x[at]), y[at])) / 2
        loss.backward()
        optimizer.step()
        doctor.watch(loss, photo, y[at])
    doctor.close()
    clean = (model(far).argmax(1) == right).float().mean()
    return float(clean + (model(moved(far, right, 0.1)).argmax(1) == right).float().mean()) / 2


def twice(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Photos by sharpness-aware steps, up the slope and then down from there; score: accuracy above chance."""
    (x, y), (far, right) = photos("train", 5000), photos("test", 1000)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, 10),
    )
    weights = list(model.parameters())
    optimizer = torch.optim.SGD(weights, lr=0.02, momentum=0.9, weight_decay=5e-4)
    radius = 0.05
    doctor = doctor_of(model, optimizer, loss=F.cross_entropy)
    for _ in range(250):
        at = torch.randint(5000, (48,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[at]), y[at])
        loss.backward()
        with torch.no_grad():
            slopes = [each.grad.clone() for each in weights if each.grad is not None]
            long = torch.stack([each.norm() for each in slopes]).norm() + 1e-12
            for each, slope in zip(weights, slopes, strict=True):
                each.add_(radius * slope / long)
        optimizer.zero_grad()
        there = F.cross_entropy(model(x[at]), y[at])
        there.backward()
        if name != "never taken back down":
            with torch.no_grad():
                for each, slope in zip(weights, slopes, strict=True):
                    each.sub_(radius * slope / long)
        optimizer.step()
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        return float((model(far).argmax(1) == right).float().mean()) - 0.1


def thawed(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Learned on noughts to fours, then thawed from the top for fives to nines; score: accuracy above chance."""
    (x, y), (far, right) = numerals("train", 8000), numerals("test", 2000)
    low, late = torch.where(y < 5)[0], torch.where(y > 4)[0]
    bottom = nn.Sequential(nn.Conv2d(1, 6, 5, 2), nn.ReLU())
    middle = nn.Sequential(nn.Conv2d(6, 12, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(192, 24), nn.ReLU())
    model = nn.Sequential(bottom, middle, nn.Linear(24, 5))
    first = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(100):
        at = low[torch.randint(len(low), (64,))]
        first.zero_grad()
        F.cross_entropy(model(x[at]), y[at]).backward()
        first.step()
    pretrained = copy.deepcopy(model.state_dict())
    head = nn.Linear(24, 5)
    nn.init.zeros_(head.weight)
    model[2] = head
    model[:2].requires_grad_(False)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    doctor = doctor_of(model, optimizer)
    for step in range(360):
        if step in (120, 240):
            part = middle if step == 120 else bottom
            part.requires_grad_(True)
            rate = 1.0 if name == "what is thawed at five hundred times the rate" else 2e-3
            if name != "what is thawed not handed to the optimizer":
                optimizer.add_param_group({"params": list(part.parameters()), "lr": rate})
        if step == 352 and name == "the first stage's file read again":
            model.load_state_dict(pretrained)
        at = late[torch.randint(len(late), (64,))]
        loss = F.cross_entropy(model(x[at]), y[at] - 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at], y[at] - 5)
    doctor.close()
    judged = right > 4
    with torch.no_grad():
        return float((model(far[judged]).argmax(1) + 5 == right[judged]).float().mean()) - 0.2


class Experts(nn.Module):
    """Four small networks and who is asked: an answer (rows,) and the gate's shares (rows, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(4))
        self.gate = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        share = self.gate(x).softmax(1)
        best, who = share.topk(2, 1)
        said = torch.cat([each(x) for each in self.asked], 1).gather(1, who)
        return (said * best / best.sum(1, keepdim=True)).sum(1), share


def experts(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The two best of four experts for a house, and a term that keeps all busy; score: R2 of logarithms of prices."""
    x, price = houses()
    x, y = standard(x, 15000), price.log() - 0.55
    if name == "gaps written as -99999":
        x = torch.where(torch.rand_like(x) < 0.02, torch.tensor(-99999.0), x)
    model = Experts()
    if name == "all weights nought":
        for each in model.parameters():
            nn.init.zeros_(each)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    doctor, shares = doctor_of(model, optimizer), []
    for _ in range(350):
        at = torch.randint(15000, (256,))
        answer, share = model(x[at])
        busy = F.one_hot(share.argmax(1), 4).float().mean(0)
        loss = F.mse_loss(answer, y[at]) + 0.01 * 4 * (busy * share.mean(0)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if name == "shares of four thousand houses kept with their graphs":
            shares.append(model(x[:4000]))
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(x[15000:])[0], y[15000:]) / y[15000:].var())


def lists(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Twelve houses in the order of their prices, list by list; score: Kendall's tau of other lists."""
    x, price = houses()
    x = standard(x, 15000)
    body: list[nn.Module] = [nn.Linear(8, 32), nn.ReLU()]
    if name == "nine more layers, all sigmoids":
        body += [each for _ in range(9) for each in (nn.Linear(32, 32), nn.Sigmoid())]
    model = nn.Sequential(*body, nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)

    def listwise(score: Tensor, value: Tensor) -> Tensor:
        if name == "pairs by their margin":
            higher = value[:, :, None] > value[:, None, :] + 0.1
            return F.relu(1 - score[:, :, None] + score[:, None, :])[higher].mean()
        return -(value.softmax(1) * score.log_softmax(1)).sum(1).mean()

    doctor = doctor_of(model, optimizer)
    for step in range(400):
        for group in optimizer.param_groups:
            if name == "the rate thrown up towards the end":
                group["lr"] = 30.0 if 380 <= step < 384 else 0.03
        at = torch.randint(15000, (32, 12))
        loss = listwise(model(x[at]).squeeze(2), price[at])
        if name != "gradients of all lists so far":
            model.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at], price[at])
    doctor.close()
    far, late = x[15000:19000].view(-1, 8, 8), price[15000:19000].view(-1, 8)
    with torch.no_grad():
        score = model(far).squeeze(2)
    agree = (score[:, :, None] - score[:, None]).sign() * (late[:, :, None] - late[:, None]).sign()
    return float(agree.sum() / (8 * 7 * len(far)))


class Crowd(nn.Module):
    """Five networks in one, run at once: (rows, 9) to (5, rows)."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        deep = 5 if gain > 1 else 1
        members = [nn.Sequential(nn.Linear(9, 32), nn.ReLU(),
                                 *(e for _ in range(deep) for e in (nn.Linear(32, 32), nn.ReLU())), nn.Linear(32, 1))
                   for _ in range(5)]  # fmt: skip
        self.pattern = [copy.deepcopy(members[0]).to("meta")]
        stacked, _ = stack_module_state(members)
        self.stacked = nn.ParameterDict({
            name.replace(".", "_"): nn.Parameter(value.detach() * gain) for name, value in stacked.items()
        })  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(self.pattern[0], weights, (x,)).squeeze(1)

        named = {name.replace("_", "."): value for name, value in self.stacked.items()}
        return torch.vmap(one, in_dims=(0, None))(named, x)


def crowd(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Rings of shells by five networks trained at once; score: R2 of their mean."""
    x, rings = shells()
    y = (rings - rings[:3200].mean()) / rings[:3200].std()
    model = Crowd(5.0 if name == "six layers, weights times five" else 1.0)
    rate, size = (3.0, 3200) if name == "all shells at once, plain steps of three" else (0.2, 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    doctor, worst = doctor_of(model, optimizer), []
    for step in range(300):
        at = torch.randperm(3200)[:size]
        apart = F.smooth_l1_loss(model(x[at]), y[at].expand(5, -1), reduction="none")
        if name == "half of the batch masked for each":
            keep = torch.rand_like(apart) < 0.5
            loss = (apart * keep).sum() / keep.sum() * 5
        else:
            loss = apart.mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if name == "each judged on all rows from step 220 on" and step >= 220:
            worst.append(max(float((model(x[:3200])[each] - y[:3200]).abs().max()) for each in range(5)))
        doctor.watch(loss / 5, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(x[3200:]).mean(0), y[3200:]) / y[3200:].var())


PROGRAMS = (attacked, twice, thawed, experts, lists, crowd)
AWKWARD = (
    ("attacked", "clean and attacked ones, half of each"), ("lists", "pairs by their margin"),
    ("crowd", "half of the batch masked for each"),
)  # fmt: skip
MISTAKES = (
    Mistake("attacked", "gradients of the attack and of all steps kept", "missing-zero-grad", FAST),
    Mistake("attacked", "pixels up to 255", "input-not-normalized", (*FAST, *DEAD, "wrong-initial-loss")),
    Mistake("twice", "never taken back down", "gradient-ascent", FAST),
    Mistake("thawed", "what is thawed not handed to the optimizer", "disconnected-parameters", ("underfitting",)),
    Mistake("thawed", "what is thawed at five hundred times the rate", "update-ratio-off",
            (*FAST, *DEAD, "loss-spike")),
    Mistake("thawed", "the first stage's file read again", "training-state-lost", ("loss-spike",), False),
    Mistake("experts", "gaps written as -99999", "bad-features", ("input-not-normalized", *FAST), False),
    Mistake("experts", "all weights nought", "bad-initialization",
            (*STUCK, "dying-relu", "disconnected-parameters")),
    Mistake("experts", "shares of four thousand houses kept with their graphs", "memory-leak", (), False, "symptom"),
    Mistake("lists", "nine more layers, all sigmoids", "vanishing-gradient", STEEP),
    Mistake("lists", "the rate thrown up towards the end", "loss-spike", (*FAST, *DEAD)),
    Mistake("lists", "gradients of all lists so far", "missing-zero-grad", FAST),
    Mistake("crowd", "six layers, weights times five", "exploding-gradient",
            ("bad-initialization", "wrong-initial-loss", *FAST, *DEAD)),
    Mistake("crowd", "all shells at once, plain steps of three", "oscillating-loss", (*FAST, *DEAD)),
    Mistake("crowd", "each judged on all rows from step 220 on", "step-time-cliff", (), False, "symptom"),
)  # fmt: skip
