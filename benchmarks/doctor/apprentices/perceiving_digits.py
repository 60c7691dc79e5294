"""Written digits: the official example, a book's first network, the first convolutions, several digits at once."""

import copy
from itertools import pairwise
from types import SimpleNamespace

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf
from benchmarks.doctor.loops.planted import NOTHING, SLOW, STEEP, Mistake
from benchmarks.doctor.outpatients.supervised_data import numerals
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Two convolutions, two dropouts, two layers."""

    def __init__(self, share: float = 0.25) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 16, 3)
        self.dropout1, self.dropout2 = nn.Dropout(share), nn.Dropout(min(0.9, 2 * share))
        self.fc1, self.fc2 = nn.Linear(400, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = torch.flatten(self.dropout1(F.max_pool2d(x, 2)), 1)
        return F.log_softmax(self.fc2(self.dropout2(F.relu(self.fc1(x)))), dim=1)


def official_digits(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Digits as the official example trains them, Adadelta and steps of the rate; score: share of right answers."""
    args = SimpleNamespace(batch_size=32, lr=1.0, gamma=0.7, epochs=3)
    x, y = numerals("train", 4000)
    x = (x - 0.1307) / 0.3081
    test, truth = numerals("test", 1000)
    test = 1 - test if name == "test digits dark on light" else test
    test = (test - 0.1307) / 0.3081
    if name == "pictures drawn anew for variety, answers not":
        x = x[torch.randperm(len(x))]
    loader = DataLoader(TensorDataset(x, y), batch_size=args.batch_size, shuffle=True)
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=args.gamma)
    doctor = doctor_of(model, optimizer, held_out=[(test[:500], truth[:500])])
    for _ in range(args.epochs):
        model.train()
        for data, target in loader:
            if name == "turned by right angles and mirrored":
                corners = [each.rot90(k, (2, 3)) for each in (data, data.mT) for k in range(4)]
                data = torch.stack(corners)[torch.randint(8, (len(data),)), torch.arange(len(data))]
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
            if name == "the schedule stepped at each batch":
                scheduler.step()
            doctor.watch(loss, data, target)
        if name != "the schedule stepped at each batch":
            scheduler.step()
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(test).argmax(1) == truth).float().mean())


class Sigmoids(nn.Module):
    """The network of a free book: layers of sigmoids by their sizes."""

    def __init__(self, sizes: list[int], spread: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        for each in self.layers:
            nn.init.normal_(each.weight, 0.0, spread / each.in_features**0.5)
            nn.init.normal_(each.bias, 0.0, 1.0 if spread == 1 else 0.1)

    def forward(self, a: Tensor) -> Tensor:
        for each in self.layers:
            a = torch.sigmoid(each(a))
        return a


def quadratic_digits(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Digits by sigmoids and the quadratic cost, as a free book begins; score: share of right answers."""
    x, y = numerals("train", 5000)
    test, truth = numerals("test", 1000)
    x, test = x.flatten(1), test.flatten(1)
    sizes = [784, 30, 10]
    if name == "five hidden layers where one was":
        sizes = [784, 30, 30, 30, 30, 30, 10]
    net = Sigmoids(sizes, 1.0 if name != "five hidden layers where one was" else 0.99)
    if name == "outputs begun sure and wrong":
        nn.init.constant_(net.layers[-1].bias, 8.0)
    eta = 3e-4 if name == "the cost halved, and the rate three times over by ten" else 3.0
    optimizer = torch.optim.SGD(net.parameters(), lr=eta)
    small = 10 if name != "batches of five" else 5
    wanted = torch.eye(10)[y]
    doctor = doctor_of(net, optimizer)
    for _ in range(1):
        order = torch.randperm(len(x))
        batches = [order[k : k + small] for k in range(0, len(order), small)][:500]
        for rows in batches:
            cost = 0.5 * ((net(x[rows]) - wanted[rows]) ** 2).sum(1).mean()
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
            doctor.watch(cost)
    doctor.close()
    with torch.no_grad():
        return float((net(test).argmax(1) == truth).float().mean())


def lenet(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The first convolutional network with tanh, as a book's chapter has it; score: share of right answers."""
    x, y = numerals("train", 6000)
    test, truth = numerals("test", 1000)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip

    def init_weights(layer: nn.Module) -> None:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if name == "weights from a normal of one":
                nn.init.normal_(layer.weight)
            if name == "weights all the same":
                nn.init.constant_(layer.weight, 0.01)

    net.apply(init_weights)
    trainer = torch.optim.SGD(net.parameters(), lr=0.2)
    if name == "no rate but the momentum's":
        trainer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    criterion = nn.CrossEntropyLoss(reduction="sum" if name == "summed over the batch" else "mean")
    if name == "summed with a rate to match":
        criterion = nn.CrossEntropyLoss(reduction="sum")
        trainer = torch.optim.SGD(net.parameters(), lr=0.2 / 64)
    doctor = doctor_of(net, trainer, loss=criterion)
    for _ in range(4):
        for rows in torch.randperm(6000).split(64):
            trainer.zero_grad()
            loss = criterion(net(x[rows]), y[rows])
            loss.backward()
            trainer.step()
            doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    with torch.no_grad():
        return float((net(test).argmax(1) == truth).float().mean())


def three_digits(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Which digits are among three in a row, a chance for each class; score: mean F1 over the classes."""
    x, y = numerals("train", 6000)
    test, truth = numerals("test", 900)

    def strips(pictures: Tensor, digits: Tensor) -> tuple[Tensor, Tensor]:
        small = F.avg_pool2d(pictures, 2)
        wide = torch.cat((small[0::3], small[1::3], small[2::3]), 3)
        return wide, F.one_hot(digits.view(-1, 3), 10).amax(1).float()

    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(2240, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    chances: nn.Module = nn.Sigmoid()
    if name == "a softmax where each class has its own chance":
        chances = nn.Softmax(1)
    doctor = doctor_of(model, optimizer)
    for step in range(300):
        rows = torch.randperm(6000)[: 3 * 32]
        batch, wanted = strips(x[rows], y[rows])
        if name == "a view that lays the digits of a batch anew":
            wanted = F.one_hot(y[rows].view(3, -1), 10).amax(0).float()
        loss = F.binary_cross_entropy(chances(model(batch)), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for mean, now in zip(average.parameters(), model.parameters(), strict=True):
            mean.data.lerp_(now.data, 0.05 if step > 20 else 1.0)
        doctor.watch(loss, batch, wanted)
    doctor.close()
    batch, wanted = strips(test, truth)
    with torch.no_grad():
        found = (chances((average if name == "weights averaged as it goes" else model)(batch)) > 0.5).float()
    return float((2 * (found * wanted).sum(0) / (found.sum(0) + wanted.sum(0)).clamp(min=1)).mean())


PROGRAMS = (official_digits, quadratic_digits, lenet, three_digits)
AWKWARD = (
    ("quadratic_digits", "batches of five"), ("lenet", "summed with a rate to match"),
    ("lenet", "no rate but the momentum's"), ("three_digits", "weights averaged as it goes"),
)  # fmt: skip
MISTAKES = (
    Mistake("official_digits", "test digits dark on light", "preprocessing-mismatch", (), False),
    Mistake("official_digits", "pictures drawn anew for variety, answers not", "label-noise", NOTHING, False),
    Mistake("official_digits", "the schedule stepped at each batch", "learning-rate-too-low", SLOW),
    Mistake("official_digits", "turned by right angles and mirrored", "label-breaking-augmentation",
            ("preprocessing-mismatch",), False),
    Mistake("quadratic_digits", "outputs begun sure and wrong", "learning-slowdown",
            ("wrong-initial-loss", "loss-head-mismatch", *STEEP)),
    Mistake("quadratic_digits", "five hidden layers where one was", "vanishing-gradient",
            ("learning-slowdown", *STEEP), False),
    Mistake("quadratic_digits", "the cost halved, and the rate three times over by ten", "learning-rate-too-low",
            (*SLOW, "learning-slowdown")),
    Mistake("lenet", "weights from a normal of one", "saturated-activations",
            (*STEEP, "wrong-initial-loss", "exploding-gradient")),
    Mistake("lenet", "weights all the same", "bad-initialization", NOTHING),
    Mistake("lenet", "summed over the batch", "learning-rate-too-high",
            ("exploding-gradient", "saturated-activations", "oscillating-loss", "update-ratio-off", "plateau",
             "non-finite-values", "loss-head-mismatch")),
    Mistake("three_digits", "a softmax where each class has its own chance", "loss-head-mismatch"),
    Mistake("three_digits", "a view that lays the digits of a batch anew", "label-noise",
            ("cross-sample-leak", *NOTHING), False),
)  # fmt: skip
