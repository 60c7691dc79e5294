"""Acting, learning to learn, graphs: a maze, a bandit, tasks of sines, few shots, neighbours, relations."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import characters, parquet
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

WALLS = torch.tensor([[0, 0, 0, 1, 0, 0], [1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0],
                      [0, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0]]).bool().flatten()  # fmt: skip


def moved(at: Tensor, act: Tensor) -> Tensor:
    """Where a step leads in a maze of six by six: up, down, left, right, or nowhere."""
    row, column = at // 6, at % 6
    row = (row + (act == 1).long() - (act == 0).long()).clamp(0, 5)
    column = (column + (act == 3).long() - (act == 2).long()).clamp(0, 5)
    to = row * 6 + column
    return torch.where(WALLS[to], at, to)


def maze(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Deep Q-learning with a replay and a target network; the way out is below on the right."""
    free = (~WALLS).nonzero()[:, 0]
    q = nn.Sequential(nn.Linear(36, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    old = copy.deepcopy(q)
    opt = torch.optim.Adam(q.parameters(), lr=1.0 if name == "a rate of one" else 4e-3)
    doctor = doctor_of(q, opt)
    past: list[tuple[Tensor, ...]] = []
    at = free[torch.randint(0, len(free) - 1, (16,))]
    for step in range(500):
        with torch.no_grad():
            best = q(F.one_hot(at, 36).float()).argmax(1)
        act = torch.where(torch.rand(16) < max(0.2, 1 - step / 150), torch.randint(0, 4, (16,)), best)
        to = moved(at, act)
        over = to == 35
        past.append((at, act, over.float() - 0.02, to, over.float()))
        lost = over | (torch.rand(16) < 0.04)
        at = torch.where(lost, free[torch.randint(0, len(free) - 1, (16,))], to)
        if step < 20:
            continue
        chosen = torch.randint(0, len(past), (256,)).tolist()
        walker = torch.arange(256) * 16 + torch.randint(0, 16, (256,))
        s, a, r, n, done = (torch.cat(each)[walker] for each in zip(*(past[i] for i in chosen), strict=True))
        if name == "acts one row off in the replay":
            a = a.roll(1)
        with torch.no_grad():
            goal = r + 0.95 * (1 - done) * old(F.one_hot(n, 36).float()).max(1).values
        if name == "the whole replay gone over from the three hundredth step" and step > 300:
            with torch.no_grad():
                _ = [q(F.one_hot(each[0], 36).float()).max(1).values for each in past]
        said = q(F.one_hot(s, 36).float()).gather(1, a[:, None])[:, 0]
        loss = F.smooth_l1_loss(said, goal)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if name == "the copy follows at each step":
            for mine, its in zip(old.parameters(), q.parameters(), strict=True):
                mine.data.lerp_(its.data, 0.1)
        elif step % 10 == 0:
            old.load_state_dict(q.state_dict())
        doctor.watch(loss)
    doctor.close()
    with torch.no_grad():
        at = free.clone()
        for _ in range(20):
            at = torch.where(at == 35, at, moved(at, q(F.one_hot(at, 36).float()).argmax(1)))
    return float((at == 35).float().mean())


def bandit(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A player sees a digit, pulls one of five arms, and is paid if the digit modulo five is that arm (REINFORCE)."""
    (x, y), (held, truth) = parquet("mnist", "train", 6000), parquet("mnist", "test", 1000)
    seen, unseen = (torch.tensor(each).float().flatten(1) / 255 for each in (x, held))
    seen, unseen = (seen - 0.13) / 0.31, (unseen - 0.13) / 0.31
    paid, right = torch.tensor(y) % 5, torch.tensor(truth) % 5
    policy = nn.Sequential(nn.Linear(784, 96), nn.ReLU(), nn.Linear(96, 5))
    if name == "scores begun forty times as large":
        policy[2].weight.data.mul_(40)  # type: ignore[operator]
    opt = torch.optim.Adam(policy.parameters(), lr=1e-3)
    doctor = doctor_of(policy, opt)
    usual = 0.2
    for _ in range(450):
        at = torch.randint(0, 6000, (128,))
        chances = torch.distributions.Categorical(logits=policy(seen[at]))
        arm = chances.sample()
        reward = (arm == paid[at]).float()
        gain = reward - usual
        usual += 0.05 * (float(reward.mean()) - usual)
        if name == "the gain minimised":
            gain = -gain
        if name == "gains of other rows":
            gain = gain[torch.randperm(128)]
        loss = -(chances.log_prob(arm) * gain).mean()
        if name == "a bonus for doubt":
            loss = loss - 0.02 * chances.entropy().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, seen[at], reward=float(reward.mean()))
    doctor.close()
    with torch.no_grad():
        return float((policy(unseen).argmax(1) == right).float().mean())


def waves(tasks: int, rows: int) -> tuple[Tensor, Tensor]:
    """Sines of one task a row, each with a height and a phase of its own (tasks, rows, 1)."""
    high, phase = 0.5 + 1.5 * torch.rand(tasks, 1, 1), 3.14 * torch.rand(tasks, 1, 1)
    x = 6 * torch.rand(tasks, rows, 1) - 3
    return x, high * torch.sin(x + phase)


def learn_to_learn(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """MAML: weights from which one step on ten points of a sine leads near the whole of it."""
    net = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))
    meta = torch.optim.Adam(net.parameters(), lr=5e-3)
    inner = 30.0 if name == "an inner step of thirty" else 0.1
    doctor = doctor_of(net, meta)

    def adapted(x: Tensor, y: Tensor, further: bool = True) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = dict(net.named_parameters())
        for _ in range(2):
            error = (functional_call(net, weights, (x,)) - y).square().mean()
            slopes = torch.autograd.grad(error, list(weights.values()), create_graph=further)
            weights = {key: w - inner * g for (key, w), g in zip(weights.items(), slopes, strict=True)}
        return weights

    kept = [torch.zeros_like(p) for p in net.parameters()]
    for _ in range(300):
        x, y = waves(4, 20)
        if name == "answers of one task, places of another":
            y = y.roll(1, 0)
        losses = [
            (functional_call(net, adapted(a[:10], b[:10]), (a[10:],)) - b[10:]).square().mean()
            for a, b in zip(x, y, strict=True)
        ]
        loss = torch.stack(losses).mean()
        meta.zero_grad()
        if name == "task after task":
            for each in losses:
                (each / len(losses)).backward()
        else:
            loss.backward()
        if name == "slopes of all tasks so far":
            for p, k in zip(net.parameters(), kept, strict=True):
                if p.grad is not None:
                    k += p.grad
                    p.grad.copy_(k)
        else:
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        meta.step()
        doctor.watch(loss)
    doctor.close()
    x, y = waves(60, 60)
    error = torch.zeros(())
    for a, b in zip(x, y, strict=True):
        weights = adapted(a[:10], b[:10], False)
        error += (functional_call(net, weights, (a[10:],)).detach() - b[10:]).square().mean() / 60
    return float(1 - error / y.var())


def few_shots(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """Prototypes: five characters shown three times, the others of them told by the nearest mean."""
    ink, which, _ = characters()
    x, kinds = torch.tensor(ink)[:, None], torch.tensor(which)
    x = F.avg_pool2d(x * 3, 2) - 0.25
    of_kind = [x[kinds == kind] for kind in kinds.unique()]
    mixed = torch.randperm(len(of_kind), generator=torch.Generator().manual_seed(0)).tolist()
    known, new = [of_kind[i] for i in mixed[:100]], [of_kind[i] for i in mixed[100:]]
    net = nn.Sequential(nn.Conv2d(1, 24, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(24, 48, 3, 1, 1), nn.ReLU(),
                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(432, 64))  # fmt: skip
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    doctor = doctor_of(net, opt)

    def episode(pool: list[Tensor], training: bool) -> tuple[Tensor, Tensor]:
        rows = [pool[i][torch.randperm(20)[:8]] for i in torch.randperm(len(pool))[:10]]
        shown = torch.stack([each[:3] for each in rows])
        asked = torch.cat([each[3:] for each in rows])
        if name == "asked ones are the shown ones":
            asked = torch.cat([each[:3].repeat(2, 1, 1, 1)[:5] for each in rows])
        means = net(shown.flatten(0, 1)).view(10, 3, -1).mean(1)
        code = net(asked)
        if name == "cosines with a temperature":
            scores = 10 * F.normalize(code, dim=1) @ F.normalize(means, dim=1).T
        else:
            scores = -torch.cdist(code, means).square()
        if name == "the farthest taken for the nearest" and training:
            scores = -scores
        return scores, torch.arange(10).repeat_interleave(5)

    for _ in range(250):
        scores, truth = episode(known, True)
        loss = F.cross_entropy(scores, truth)
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss)
    doctor.close()
    with torch.no_grad():
        return sum(float((s.argmax(1) == t).float().mean()) for s, t in (episode(new, False) for _ in range(60))) / 60


class Rounds(nn.Module):
    """A graph network with a dense table of neighbours."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(784, 64), nn.Linear(64, 10)
        self.between = nn.ModuleList([nn.Linear(64, 64) for _ in range(rounds - 2)])

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        x = F.dropout((near @ self.first(x)).relu(), 0.3, self.training)
        for each in self.between:
            x = (near @ each(x)).relu()
        return near @ self.last(x)


def neighbourhood(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """A thousand digits joined to those that look alike; four hundred have a name."""
    pictures, names = parquet("mnist", "train", 1000)
    x, y = (torch.tensor(pictures).float().flatten(1) / 255 - 0.13) / 0.31, torch.tensor(names)
    joined = torch.zeros(1000, 1000).scatter(1, torch.cdist(x, x).topk(9, largest=False).indices, 1.0)
    joined = ((joined + joined.T) > 0).float()
    degree = joined.sum(1)
    near = joined / (degree[:, None] * degree).sqrt()
    if name == "neighbours added up":
        near = joined
    if name == "a table of its own for each run":
        near = near[torch.randperm(1000)]
    net = Rounds(12 if name == "twelve rounds" else 2)
    opt = torch.optim.Adam(net.parameters(), lr=0.005, weight_decay=5e-3)
    doctor = doctor_of(net, opt)
    for epoch in range(100):
        net.train()
        loss = F.cross_entropy(net(x, near)[:400], y[:400])
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss)
        if epoch % 20 == 19:
            net.eval()
            with torch.no_grad():
                out = net(x, near)[400:600]
            doctor.evaluated(loss=float(F.cross_entropy(out, y[400:600])))
    doctor.close()
    net.eval()
    with torch.no_grad():
        return float((net(x, near)[600:].argmax(1) == y[600:]).float().mean())


def relations(doctor_of: Callable[..., Any], seed: int, name: str = "") -> float:
    """TransE: a thing and a relation lead to another thing; places of a grid and the steps between them."""
    side = 14
    steps = [(0, 1), (1, 0), (1, 1), (2, 0), (0, 3), (2, -1)]
    facts = torch.tensor([(r * side + c, k, (r + a) * side + c + b) for r in range(side) for c in range(side)
                          for k, (a, b) in enumerate(steps) if r + a < side and 0 <= c + b < side])  # fmt: skip
    facts = facts[torch.randperm(len(facts), generator=torch.Generator().manual_seed(0))]
    train, held = facts[:-150], facts[-150:]
    things, links = nn.Embedding(side * side, 24), nn.Embedding(len(steps), 24)
    nn.init.uniform_(things.weight, -0.4, 0.4)
    nn.init.uniform_(links.weight, -0.4, 0.4)
    model = nn.ModuleDict({"things": things, "links": links})
    opt = torch.optim.Adam(model.parameters(), lr=0.2)
    fall = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, 500)
    doctor = doctor_of(model, opt)

    def far(h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        return (things(h) + links(r) - things(t)).norm(dim=-1)

    for _ in range(500):
        h, r, t = train[torch.randint(0, len(train), (256,))].T
        wrong = torch.randint(0, side * side, (256, 8))
        if name == "the false fact is the true one":
            wrong = t[:, None]
        gap = far(h, r, t)[:, None] - far(h[:, None], r[:, None], wrong)
        if name == "true and false exchanged":
            gap = -gap
        loss = F.softplus(4 * gap).mean() if name == "a soft margin" else F.relu(1.0 + gap).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        fall.step()
        doctor.watch(loss, (h, r, t))
    doctor.close()
    with torch.no_grad():
        h, r, t = held.T
        every = far(h[:, None], r[:, None], torch.arange(side * side)[None])
        rank = (every < every.gather(1, t[:, None])).sum(1)
        return float((rank < 10).float().mean())


STUCK = ("plateau", "underfitting", "cannot-fit-one-batch")
FAST = ("learning-rate-too-high", "oscillating-loss", "update-ratio-off", "loss-spike", "exploding-gradient")
PROGRAMS = (maze, bandit, learn_to_learn, few_shots, neighbourhood, relations)
AWKWARD = (
    ("maze", "the copy follows at each step"), ("bandit", "a bonus for doubt"), ("learn_to_learn", "task after task"),
    ("few_shots", "cosines with a temperature"), ("relations", "a soft margin"),
)  # fmt: skip
MISTAKES = (
    Mistake("maze", "a rate of one", "learning-rate-too-high", (*FAST, "dying-relu", *STUCK)),
    Mistake("maze", "the whole replay gone over from the three hundredth step", "step-time-cliff", (), False,
            "symptom"),
    Mistake("maze", "acts one row off in the replay", "label-noise", STUCK, False),
    Mistake("bandit", "scores begun forty times as large", "bad-initialization",
            ("wrong-initial-loss", "learning-slowdown", "saturated-activations", *STUCK)),
    Mistake("bandit", "the gain minimised", "gradient-ascent", ("loss-head-mismatch",), False),
    Mistake("bandit", "gains of other rows", "label-noise", STUCK, False),
    Mistake("learn_to_learn", "an inner step of thirty", "exploding-gradient",
            (*FAST, "saturated-activations", "non-finite-values", *STUCK), False),
    Mistake("learn_to_learn", "answers of one task, places of another", "label-noise", STUCK, False),
    Mistake("learn_to_learn", "slopes of all tasks so far", "missing-zero-grad"),
    Mistake("few_shots", "asked ones are the shown ones", "data-leakage", (), False, "too good"),
    Mistake("few_shots", "the farthest taken for the nearest", "gradient-ascent",
            ("loss-head-mismatch", "representation-collapse"), False),
    Mistake("neighbourhood", "neighbours added up", "exploding-gradient",
            ("wrong-initial-loss", "bad-initialization", *FAST), False),
    Mistake("neighbourhood", "twelve rounds", "representation-collapse",
            ("vanishing-gradient", *STUCK), False),
    Mistake("neighbourhood", "a table of its own for each run", "cross-sample-leak", ("label-noise", "overfitting"),
            False),
    Mistake("relations", "the false fact is the true one", "disconnected-parameters",
            ("vanishing-gradient", "loss-head-mismatch", *STUCK), False),
    Mistake("relations", "true and false exchanged", "gradient-ascent", ("loss-head-mismatch", "label-noise"), False),
)  # fmt: skip
