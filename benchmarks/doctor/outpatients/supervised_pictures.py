"""Pictures learned in other ways: from a teacher, by overlap, by angle, in bags, mixed, attacked, in two passes."""

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.harness.planted import DEAD, FAST, NOISE, STUCK
from benchmarks.doctor.loops.planted import Mistake
from benchmarks.doctor.loops.reading import characters, streets
from benchmarks.doctor.outpatients.supervised_data import numerals, photos
from torch import Tensor, nn
from torch.nn import functional as F

DoctorOf = Callable[..., Any]


def small_net(wide: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, wide, 5, 2), nn.ReLU(), nn.Conv2d(wide, 2 * wide, 5, 2), nn.ReLU(), nn.Flatten(),
                         nn.Linear(2 * wide * 16, 10))  # fmt: skip


def distilled(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A small student of a larger teacher's soft answers; score: accuracy."""
    (x, y), (far, right) = numerals("train", 6000), numerals("test", 1500)
    teacher, student = small_net(12), small_net(3)
    lessons = torch.optim.Adam(teacher.parameters(), 2e-3)
    for _ in range(250):
        at = torch.randint(6000, (64,))
        lessons.zero_grad()
        F.cross_entropy(teacher(x[at] - 0.13), y[at]).backward()
        lessons.step()
    teacher.eval().requires_grad_(False)
    warm = 4.0

    def soft_loss(scores: Tensor, wanted: Tensor, target: Tensor) -> Tensor:
        if name == "shares where logarithms are wanted":
            return F.kl_div(F.softmax(scores / warm, 1), F.softmax(wanted / warm, 1), reduction="batchmean")
        soft = F.kl_div(F.log_softmax(scores / warm, 1), F.softmax(wanted / warm, 1), reduction="batchmean") * warm**2
        return soft if name == "soft answers alone" else 0.7 * soft + 0.3 * F.cross_entropy(scores, target)

    stranger = small_net(3)
    trained = stranger if name == "the optimizer holds a student made before" else student
    optimizer = torch.optim.AdamW(trained.parameters(), lr=8e-3)
    doctor = doctor_of(student, optimizer)
    for _ in range(300):
        at = torch.randint(6000, (64,))
        with torch.no_grad():
            wanted = teacher(x[at] - 0.13)
        scores = student(x[at] - 0.13)
        loss = soft_loss(scores, wanted, y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at] - 0.13, y[at], right=float((scores.argmax(1) == y[at]).float().mean()))
    doctor.close()
    with torch.no_grad():
        return float((student(far - 0.13).argmax(1) == right).float().mean())


class Bridged(nn.Module):
    """Photos (rows, 3, 48, 64) to scores of road (rows, 48, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.GroupNorm(3, 12), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.GroupNorm(4, 24), nn.ReLU(),
                                    nn.Conv2d(24, 24, 5, 1, 2), nn.ReLU())  # fmt: skip
        self.up = nn.ConvTranspose2d(24, 12, 2, 2)
        self.last = nn.ConvTranspose2d(24, 1, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.first(x)
        return self.last(torch.cat((fine, self.up(self.second(fine)).relu()), 1)).squeeze(1)


def road(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Where the road is, by Dice and cross-entropy together; score: Dice of other drives."""

    def ready(part: str) -> tuple[Tensor, Tensor]:
        photo, mask = streets(part, (64, 48))
        x = torch.tensor(photo).permute(0, 3, 1, 2) / 255
        return (x - 0.4) / 0.28, (torch.tensor(mask) == 3).float()

    (x, y), (far, right) = ready("train"), ready("val")
    model = Bridged()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def overlap(share: Tensor, mask: Tensor) -> Tensor:
        both = (share * mask).sum((1, 2))
        return ((2 * both + 1) / (share.sum((1, 2)) + mask.sum((1, 2)) + 1)).mean()

    def loss_of(scores: Tensor, mask: Tensor) -> Tensor:
        if name == "overlap as the loss":
            return overlap(scores.sigmoid(), mask)
        if name == "logarithm of overlap":
            return -overlap(scores.sigmoid(), mask).log()
        return 1 - overlap(scores.sigmoid(), mask) + F.binary_cross_entropy_with_logits(scores, mask)

    if name == "other drives not shifted about nought":
        far = far * 0.28 + 0.4
    doctor = doctor_of(model, optimizer, loss=loss_of, held_out=list(zip(far.split(34), right.split(34), strict=True)))
    for _ in range(15):
        for at in torch.randperm(len(x)).split(24)[:-1]:
            photo, mask = x[at], y[at]
            if name == "photos moved, masks not":
                photo = torch.roll(photo, (int(torch.randint(-20, 21, ())), int(torch.randint(-24, 25, ()))), (2, 3))
            optimizer.zero_grad()
            loss = loss_of(model(photo), mask)
            loss.backward()
            optimizer.step()
            doctor.watch(loss, photo, mask)
    doctor.close()
    with torch.no_grad():
        return float(overlap((model(far) > 0).float(), right))


def alphabets(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Characters by an angular margin; score: nearest of unknown characters is the same one."""
    ink, kinds, drawers = (torch.tensor(each) for each in characters())
    known = kinds < 100
    x, y = ink[known][:, None] - 0.1, kinds[known]
    if name == "numbered by who drew them":
        y = drawers[known] - 1
    trunk = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.PReLU(), nn.Conv2d(16, 32, 3, 2, 1),
                          nn.BatchNorm2d(32), nn.PReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.PReLU(),
                          nn.Flatten(), nn.Linear(512, 48))  # fmt: skip
    centres = nn.Parameter(torch.randn(100, 48))
    groups: list[dict[str, Any]] = [{"params": trunk.parameters()}, {"params": [centres], "lr": 2e-2}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    scale, margin = 12.0, (17.2 if name == "a margin in degrees" else 0.3)

    def arc(places: Tensor, target: Tensor) -> Tensor:
        cosine = F.normalize(places) @ F.normalize(centres).T
        angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos() + margin * F.one_hot(target, 100)
        return F.cross_entropy(scale * angle.cos(), target)

    doctor = doctor_of(trunk, optimizer, loss=arc)
    if name == "a rate of thirty":
        for group in optimizer.param_groups:
            group["lr"] = 30.0
    cool = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 350)
    for _ in range(350):
        at = torch.randint(len(x), (64,))
        down, right = (int(each) for each in torch.randint(-2, 3, (2,)))
        moved = x[at].roll((down, right), (2, 3))
        loss = arc(trunk(moved), y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cool.step()
        doctor.watch(loss, moved, y[at])
    doctor.close()
    trunk.eval()
    with torch.no_grad():
        places = F.normalize(trunk(ink[~known][:, None] - 0.1))
    nearest = (places @ places.T).fill_diagonal_(-2).argmax(1)
    return float((kinds[~known][nearest] == kinds[~known]).float().mean())


class Bag(nn.Module):
    """Bags (rows, 7, 784) to one score each, by gated attention over what is in a bag."""

    def __init__(self, anew: bool) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Linear(784, 64), nn.ReLU())
        self.what, self.gate, self.much = nn.Linear(64, 32), nn.Linear(64, 32), nn.Linear(32, 1)
        self.head, self.anew = nn.Linear(64, 1), anew

    def forward(self, x: Tensor) -> Tensor:
        if self.anew:
            x = x.reshape(7, -1, 784).transpose(0, 1)
        seen = self.see(x)
        much = self.much(self.what(seen).tanh() * self.gate(seen).sigmoid()).softmax(1)
        return self.head((much * seen).sum(1)).squeeze(1)


def bags(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Whether one of seven numerals is a nought; score: mean of both kinds' accuracy, from 0 by chance to 1."""

    def packed(x: Tensor, y: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
        some, none = torch.where(y == 0)[0], torch.where(y != 0)[0]
        at = none[torch.randint(len(none), (count, 7))]
        label = torch.rand(count) < share
        at[label, torch.randint(7, (int(label.sum()),))] = some[torch.randint(len(some), (int(label.sum()),))]
        return (x[at].flatten(2) - 0.13) / 0.31, label.float()

    x, y = packed(*numerals("train", 6000), 2500, 0.03 if name == "one bag in thirty holds one" else 0.5)
    far, right = packed(*numerals("test", 1500), 800, 0.5)
    model = Bag(name == "numerals laid out anew among the bags")
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    doctor = doctor_of(model, optimizer, nn.BCEWithLogitsLoss())
    for _ in range(350):
        at = torch.randint(len(x), (32,))
        score = model(x[at])
        loss = F.binary_cross_entropy_with_logits(score, y[at])
        if name == "margins instead of chances":
            loss = F.relu(1 - (2 * y[at] - 1) * score).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[at], y[at])
    doctor.close()
    with torch.no_grad():
        score = (model(far) > 0).float()
    return float(score[right == 1].mean() - score[right == 0].mean())


def mixed(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Photos mixed in pairs, labels as well; score: accuracy above chance."""
    (x, y), (far, right) = photos("train", 5000), photos("test", 1000)
    model = nn.Sequential(
        nn.Conv2d(3, 24, 5, 2, 2),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 48, 3, 2, 1),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.Conv2d(48, 64, 3, 2, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=350)
    spread = torch.distributions.Beta(0.4, 0.4)
    doctor = doctor_of(model, optimizer, loss=nn.CrossEntropyLoss())
    for step in range(350):
        at = torch.randint(5000, (64,))
        share, other = float(spread.sample()), at[torch.randperm(64)]
        wide = int(32 * (1 - share) ** 0.5)
        if name == "pieces cut out and put in" and wide:
            top, left = (int(each) for each in torch.randint(33 - wide, (2,)))
            photo = x[at].clone()
            photo[:, :, top : top + wide, left : left + wide] = x[other][:, :, top : top + wide, left : left + wide]
            share = 1 - wide**2 / 1024
        else:
            photo = share * x[at] + (1 - share) * x[other]
        if name == "labels mixed with others than the photos":
            other = at[torch.randperm(64)]
        if name == "mixed into a copy that is thrown away":
            photo = torch.zeros_like(x[at])
            photo.add(share * x[at]).add((1 - share) * x[other])
        label = share * F.one_hot(y[at], 10).float() + (1 - share) * F.one_hot(y[other], 10).float()
        loss = F.cross_entropy(model(photo), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
        doctor.watch(loss, photo, label)
        if step % 70 == 0:
            model.eval()
            with torch.no_grad():
                doctor.evaluated(accuracy=float((model(far).argmax(1) == right).float().mean()))
            if name != "judged in eval mode after the first step, never back":
                model.train()
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(far).argmax(1) == right).float().mean()) - 0.1


PROGRAMS = (distilled, road, alphabets, bags, mixed)
AWKWARD = (
    ("distilled", "soft answers alone"), ("road", "logarithm of overlap"), ("bags", "margins instead of chances"),
    ("mixed", "pieces cut out and put in"),
)  # fmt: skip
MISTAKES = (
    Mistake("distilled", "shares where logarithms are wanted", "loss-head-mismatch", ("gradient-ascent", *STUCK)),
    Mistake("distilled", "the optimizer holds a student made before", "disconnected-parameters", STUCK),
    Mistake("road", "overlap as the loss", "gradient-ascent", ("loss-head-mismatch", *DEAD)),
    Mistake("road", "photos moved, masks not", "label-breaking-augmentation",
            ("label-noise", "preprocessing-mismatch"), False),
    Mistake("road", "other drives not shifted about nought", "preprocessing-mismatch", (), False),
    Mistake("alphabets", "numbered by who drew them", "label-noise", NOISE, False),
    Mistake("alphabets", "a margin in degrees", "loss-head-mismatch", ("wrong-initial-loss", *NOISE), False),
    Mistake("alphabets", "a rate of thirty", "learning-rate-too-high", (*FAST, *DEAD)),
    Mistake("bags", "one bag in thirty holds one", "class-imbalance", ("overfitting",)),
    Mistake("bags", "numerals laid out anew among the bags", "cross-sample-leak", STUCK, False),
    Mistake("mixed", "labels mixed with others than the photos", "label-breaking-augmentation", ("label-noise",),
            False),
    Mistake("mixed", "mixed into a copy that is thrown away", "cannot-fit-one-batch",
            ("bad-features", "disconnected-parameters", "underfitting", "plateau"), False),
    Mistake("mixed", "judged in eval mode after the first step, never back", "wrong-train-eval-mode",
            ("preprocessing-mismatch", "overfitting")),
)  # fmt: skip
