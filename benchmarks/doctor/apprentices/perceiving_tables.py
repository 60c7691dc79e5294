"""Tables: a book's chapter, a competition's kernel, the first network of a course, a library's tabular learner."""

import copy

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf, borrowers, census, flowers, spots
from benchmarks.doctor.loops.planted import NOTHING, SLOW, TIRED, Mistake
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler


def house_prices(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Prices by the logarithmic error of a competition, after a book; score: share of the logs' variance explained."""
    x, price = census()
    x = torch.cat((x[:, :3], x[:, 3:].log()), 1)
    x = (x - x[:14000].mean(0)) / x[:14000].std(0)
    logs = price.log()
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5 if name == "half dropped" else 0.0))
    net.append(nn.Linear(64, 1))
    decay = 0.5 if name == "a decay of a half in Adam" else 1e-5
    trainer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=decay)
    data = DataLoader(TensorDataset(x[:14000], logs[:14000]), batch_size=64, shuffle=True)
    doctor = doctor_of(net, trainer)
    for _ in range(2):
        for features, labels in data:
            trainer.zero_grad()
            found = net(features)
            if name == "predictions clamped from one up before the logarithm":
                found = found.clamp(min=1.0).log()
            if name != "a row of answers beside a column of predictions":
                found = found.squeeze(1)
            loss = ((found - labels) ** 2).mean()
            loss.backward()
            trainer.step()
            doctor.watch(loss)
    doctor.close()
    net.eval()
    with torch.no_grad():
        found = net(x[14000:]).squeeze(1)
        found = found.clamp(min=1.0).log() if "clamped" in name else found
        return 1 - float(F.mse_loss(found, logs[14000:]) / logs[14000:].var())


def districts(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Prices by a pyramid of layers, batches cut off in order, the best weights kept; score: variance explained."""
    raw, price = census()
    if name == "the row's number left among the columns, unscaled":
        raw = torch.cat((raw[:, :7], torch.randperm(len(raw))[:, None] * 1000.0, raw[:, 7:]), 1)
    x = (raw - raw[:14000].mean(0)) / raw[:14000].std(0)
    if name in ("columns as they stand in the census", "the row's number left among the columns, unscaled"):
        x = raw
    y = ((price - price[:14000].mean()) / price[:14000].std())[:, None]
    known = torch.arange(14000)
    if name == "sorted by price for a plot before":
        known = price[:14000].argsort()
    model = nn.Sequential(
        nn.Linear(x.shape[1], 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)
    )
    mse = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    accumulate = 4 if name == "twenty rows a batch, four summed up" else 1
    size = 80 // 4 if accumulate == 4 else 80
    doctor = doctor_of(model, optimizer, loss=mse, held_out=[(x[14000:15000], y[14000:15000])])
    best, kept = float("inf"), copy.deepcopy(model.state_dict())
    for _ in range(2):
        model.train()
        for number, start in enumerate(range(0, 14000, size)):
            rows = known[start : start + size]
            loss = mse(model(x[rows]), y[rows])
            (loss / accumulate).backward()
            if (number + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                doctor.watch(loss, x[rows], y[rows])
        model.eval()
        with torch.no_grad():
            held = float(mse(model(x[14000:15000]), y[14000:15000]))
        if held < best:
            best, kept = held, copy.deepcopy(model.state_dict())
    doctor.close()
    if best < float("inf"):
        model.load_state_dict(kept)
    with torch.no_grad():
        return 1 - float(mse(model(x[15000:]), y[15000:]) / y[15000:].var())


class Tabular(nn.Module):
    """Embeddings of the codes beside normalised numbers, two layers with norms and dropout."""

    def __init__(self, sizes: list[int], numbers: int, dropped: float) -> None:
        super().__init__()
        self.embeds = nn.ModuleList(nn.Embedding(each, min(50, each // 2 + 1)) for each in sizes)
        wide = sum(each.embedding_dim for each in self.embeds)
        self.norm = nn.BatchNorm1d(numbers)
        self.layers = nn.Sequential(
            nn.Linear(wide + numbers, 100), nn.ReLU(), nn.BatchNorm1d(100), nn.Dropout(dropped),
            nn.Linear(100, 50), nn.ReLU(), nn.BatchNorm1d(50), nn.Dropout(dropped), nn.Linear(50, 2),
        )  # fmt: skip

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        embedded = [each(codes[:, row]) for row, each in enumerate(self.embeds)]
        return self.layers(torch.cat((*embedded, self.norm(numbers)), 1))


def tabular_learner(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Bad borrowers by embeddings and one cycle, after a library's lesson; score: Gini's coefficient."""
    codes, numbers, bad, sizes = borrowers()
    if name == "the outcome left among the columns":
        numbers = torch.cat((numbers, bad[:, None] + 1), 1)
    known = torch.arange(70 if name == "a tenth of the borrowers, eighty times over" else 700)
    dropped = {"half dropped": 0.5, "what is to be kept given as what is dropped": 0.97}.get(name, 0.1)
    model = Tabular(sizes, numbers.shape[1], 0.0 if len(known) == 70 else dropped)
    epochs, size = (80 if len(known) == 70 else 10), 32
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = epochs * (len(known) // size)
    if name == "a cycle as long as all rows of all rounds":
        steps = epochs * len(known)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1 if name == "smoothed labels" else 0.0)
    held = slice(700, None)
    doctor = doctor_of(model, optimizer, loss=smooth, held_out=[((codes[held], numbers[held]), bad[held].long())])
    for _ in range(epochs):
        model.train()
        for rows in known[torch.randperm(len(known))].split(size):
            if len(rows) < size:
                continue
            loss = smooth(model(codes[rows], numbers[rows]), bad[rows].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            doctor.watch(loss, (codes[rows], numbers[rows]), bad[rows].long())
    doctor.close()
    model.eval()
    with torch.no_grad():
        score = model(codes[held], numbers[held]).softmax(1)[:, 1]
    return 2 * area(score, bad[held]) - 1


def area(score: Tensor, truth: Tensor) -> float:
    """Area under the curve of false and true alarms; a half where nothing is told apart."""
    above = score[truth == 1][:, None] - score[truth == 0][None]
    return float((above > 0).float().mean() + 0.5 * (above == 0).float().mean())


class Rows(Dataset):
    """A table with answers, as the kernel has it."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]

    def __len__(self) -> int:
        return len(self.x)


def rare_spots(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Rare findings by a weighed logistic loss, after kernels on card fraud; score: F1 of the rare ones."""
    x, y = spots()
    cut = 8000
    if name == "rare rows copied before the split":
        x, y = torch.cat((x, *[x[y == 1]] * 20)), torch.cat((y, *[y[y == 1]] * 20))
        order = torch.randperm(len(x))
        x, y, cut = x[order], y[order], 11000
    train = Rows(x[:cut], y[:cut] * 2 - 1 if name == "answers of minus one and one" else y[:cut])
    net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Dropout(0.1), nn.Linear(64, 1))
    if name == "a sigmoid before the loss that has one":
        net.append(nn.Sigmoid())
    weight = {"weights turned upside down": 1 / 40.0, "weights of the counts, squared": 1600.0}.get(name, 4.0)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight))
    loader = DataLoader(train, batch_size=64, shuffle=True)
    if name == "rare ones drawn more often":
        often = torch.where(y[:cut] == 1, 4.0, 1.0)
        loader = DataLoader(train, batch_size=64, sampler=WeightedRandomSampler(often.tolist(), cut))
        criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    doctor = doctor_of(net, optimizer)
    for _ in range(3):
        net.train()
        for batch, truth in loader:
            optimizer.zero_grad()
            loss = criterion(net(batch), truth.unsqueeze(1))
            loss.backward()
            optimizer.step()
            doctor.watch(loss, batch, truth.unsqueeze(1))
    doctor.close()
    net.eval()
    with torch.no_grad():
        found = torch.round(torch.sigmoid(net(x[cut:]))).squeeze(1)
    right = float((found * y[cut:]).sum())
    return 2 * right / max(1.0, float(found.sum() + y[cut:].sum()))


def first_flowers(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Kinds of flowers, everybody's first network; score: share of right answers."""
    x, y = flowers()
    order = torch.randperm(150, generator=torch.Generator().manual_seed(3))
    train, test = order[:90], order[90:]
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    if name == "weights and biases begun at nought":
        for each in model.parameters():
            nn.init.constant_(each, 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    axis = 0 if name == "a softmax down the batch" else 1
    doctor = doctor_of(model, optimizer)
    for _ in range(30):
        for rows in train.split(10):
            loss = F.nll_loss(F.log_softmax(model(x[rows]), dim=axis), y[rows])
            if name == "gradients cleared between backward and step":
                loss.backward()
                optimizer.zero_grad()
                optimizer.step()
            else:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    with torch.no_grad():
        return float((model(x[test]).argmax(1) == y[test]).float().mean())


PROGRAMS = (house_prices, districts, tabular_learner, rare_spots, first_flowers)
AWKWARD = (
    ("house_prices", "half dropped"), ("districts", "twenty rows a batch, four summed up"),
    ("tabular_learner", "smoothed labels"), ("tabular_learner", "half dropped"),
    ("rare_spots", "rare ones drawn more often"),
)  # fmt: skip
MISTAKES = (
    Mistake("house_prices", "a row of answers beside a column of predictions", "loss-head-mismatch",
            ("cross-sample-leak", "cannot-fit-one-batch")),
    Mistake("house_prices", "predictions clamped from one up before the logarithm", "loss-head-mismatch",
            ("vanishing-gradient", "disconnected-parameters", "dying-relu", *NOTHING), False),
    Mistake("house_prices", "a decay of a half in Adam", "over-regularized", TIRED),
    Mistake("districts", "columns as they stand in the census", "input-not-normalized"),
    Mistake("districts", "the row's number left among the columns, unscaled", "input-not-normalized",
            ("bad-features",)),
    Mistake("districts", "sorted by price for a plot before", "data-not-shuffled"),
    Mistake("tabular_learner", "the outcome left among the columns", "data-leakage", (), False, "too good"),
    Mistake("tabular_learner", "a tenth of the borrowers, eighty times over", "overfitting", (), False),
    Mistake("tabular_learner", "what is to be kept given as what is dropped", "over-regularized", TIRED),
    Mistake("tabular_learner", "a cycle as long as all rows of all rounds", "learning-rate-too-low", SLOW),
    Mistake("rare_spots", "rare rows copied before the split", "data-leakage", (), False, "too good"),
    Mistake("rare_spots", "answers of minus one and one", "targets-out-of-range", ("loss-head-mismatch",), False),
    Mistake("rare_spots", "a sigmoid before the loss that has one", "loss-head-mismatch", (), True),
    Mistake("rare_spots", "weights turned upside down", "class-imbalance"),
    Mistake("first_flowers", "weights and biases begun at nought", "bad-initialization",
            ("vanishing-gradient", "disconnected-parameters", "dying-relu", "cannot-fit-one-batch", "plateau")),
    Mistake("first_flowers", "a softmax down the batch", "cross-sample-leak", ("loss-head-mismatch",), False),
    Mistake("first_flowers", "gradients cleared between backward and step", "disconnected-parameters",
            ("missing-zero-grad", *SLOW, "cannot-fit-one-batch"), False),
)  # fmt: skip
