"""Hand-written trainings on tables, as somebody's script would have them, each with the mistakes that it may hold."""

import copy
import math
from typing import Any

import numpy as np
import pandas
import polars as pl
import torch
from benchmarks.doctor.loops.reading import DATA
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler


def mammography(doctor: Any, seed: int, fault: str = "") -> float:
    """Lesions, one of 43 malign: a loader, epochs, a weight for the rare ones; the README's two lines."""
    table = pandas.read_csv(DATA / "mammography" / "mammography.csv", header=None)
    labels = (table[6] == "'1'").to_numpy(dtype=np.float32)
    x, held_x, y, held_y = train_test_split(
        table.iloc[:, :6].to_numpy(dtype=np.float32), labels, test_size=0.3, random_state=seed, stratify=labels
    )
    train = TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = DataLoader(train, batch_size=128, shuffle=True)
    if fault == "rows drawn by their class's share":
        share = np.where(y == 1, y.mean(), 1 - y.mean())
        loader = DataLoader(train, batch_size=128, sampler=WeightedRandomSampler(share.tolist(), len(y)))

    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    criterion: Any = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(20.0))
    if fault == "rare ones not weighed":
        criterion = nn.BCEWithLogitsLoss()
    if fault == "squared error of a sigmoid begun far down":
        model.append(nn.Sigmoid())
        nn.init.constant_(model[4].bias, -9.0)
        criterion = nn.MSELoss()
    if fault == "focal loss":

        def criterion(scores: Tensor, target: Tensor) -> Tensor:
            plain = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
            return (torch.where(target > 0, 0.95, 0.05) * (1 - (-plain).exp()) ** 2 * plain).mean() * 20

    decay = 0.5 if fault == "a decay of a half" else 1e-4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=decay)
    cyclic = (
        torch.optim.lr_scheduler.CyclicLR(optimizer, 0.005, 0.1, step_size_up=60) if fault == "a cyclic rate" else None
    )
    watcher = doctor(model, optimizer, loss=criterion)
    for _ in range(8):
        for features, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(features).squeeze(1), target)
            loss.backward()
            optimizer.step()
            if cyclic is not None:
                cyclic.step()
            watcher.watch(loss, features, target)
    watcher.close()
    with torch.no_grad():
        scores = model(torch.tensor(held_x)).squeeze(1)
    return float(balanced_accuracy_score(held_y, scores > (0.5 if isinstance(model[-1], nn.Sigmoid) else 0)))


class Blocks(Dataset):
    """Rows of a frame picked one by one, as the frame has them."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.frame = pandas.DataFrame(x).assign(answer=y)

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        row = self.frame.iloc[place]
        return torch.tensor(row.drop("answer").to_numpy(dtype=np.float32)), torch.tensor(np.float32(row["answer"]))


def houses(fault: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns (rows, columns) and prices in dollars (rows,)."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv")
    frame = frame.with_columns(pl.col("total_bedrooms").fill_null(pl.col("total_bedrooms").median()))
    frame = frame.with_columns((pl.col("total_rooms") / pl.col("households")).alias("rooms_each"))
    if fault == "price a room among the columns":
        frame = frame.with_columns((pl.col("median_house_value") / pl.col("rooms_each")).alias("price_a_room"))
    y = frame["median_house_value"].to_numpy().astype(np.float32)
    return frame.drop("median_house_value").to_dummies("ocean_proximity").to_numpy().astype(np.float32), y


def housing(doctor: Any, seed: int, fault: str = "") -> float:
    """House prices: one cycle of the rate by batch, held-out batches given, judged after each epoch."""
    x, y = houses(fault)
    x, held_x, y, held_y = train_test_split(x, y, test_size=0.2, random_state=seed)
    if fault != "numbers as they are in the file":
        scaler = StandardScaler().fit(x)
        x, held_x = scaler.transform(x), scaler.transform(held_x)
    middle, spread = (0.0, 1.0) if fault == "prices in dollars" else (y.mean(), y.std())
    y, held_y = (y - middle) / spread, (held_y - middle) / spread
    rows: Dataset = TensorDataset(torch.tensor(x), torch.tensor(y))
    if fault == "rows picked from the frame one by one":
        rows = Blocks(x, y)
    loader = DataLoader(rows, batch_size=256, shuffle=True)
    held_out = [(torch.tensor(held_x[i : i + 512]), torch.tensor(held_y[i : i + 512])) for i in range(0, 2048, 512)]

    model = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    if fault == "biases begun at minus six":
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.constant_(layer.bias, -6.0)
    shaped = nn.Flatten(1) if fault == "a column compared with a row" else nn.Flatten(0)
    model.append(shaped)
    criterion: Any = nn.MSELoss()
    if fault == "summed errors, a rate to match":
        criterion = nn.MSELoss(reduction="sum")
    if fault == "the share explained, as the loss":

        def criterion(answer: Tensor, target: Tensor) -> Tensor:
            return 1 - (answer - target).square().mean() / target.var()

    epochs = 1 if isinstance(rows, Blocks) else 6
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    if fault == "summed errors, a rate to match":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05 / 256, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, optimizer.param_groups[0]["lr"], total_steps=epochs * len(loader)
    )
    watcher = doctor(model, optimizer, loss=criterion, held_out=held_out, steps=epochs * len(loader))
    for _ in range(epochs):
        model.train()
        for features, target in loader:
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(features), target)
            loss.backward()
            optimizer.step()
            schedule.step()
            watcher.watch(loss, features, target)
        model.eval()
        with torch.no_grad():
            watcher.evaluated(loss=float(np.mean([float(criterion(model(a), b)) for a, b in held_out])))
    watcher.close()
    with torch.no_grad():
        answers = model(torch.tensor(held_x)).flatten()
    return float(r2_score(held_y, answers)) if bool(answers.isfinite().all()) else -math.inf


class Applicant(nn.Module):
    """An embedding a category beside the numbers. codes: (rows, 13), numbers: (rows, 7) -> (rows,)"""

    def __init__(self, sizes: list[int], drop: float) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, 4) for size in sizes)
        self.body = nn.Sequential(
            nn.Linear(4 * len(sizes) + 7, 32), nn.Tanh(), nn.Dropout(drop), nn.Linear(32, 32), nn.Tanh(),
            nn.Dropout(drop), nn.Linear(32, 1),
        )  # fmt: skip

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        parts = [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return self.body(torch.cat([*parts, numbers], 1)).squeeze(1)


def credit(doctor: Any, seed: int, fault: str = "") -> float:
    """Loans: a network that takes two things, parameters in two groups, held-out batches of both."""
    table = pandas.read_csv(DATA / "german-credit" / "german.csv", header=None)
    words = [name for name in table.columns[:-1] if not pandas.api.types.is_numeric_dtype(table[name])]
    labels = (table[20] == 2).to_numpy(dtype=np.float32)
    train, held = train_test_split(table, test_size=0.3, random_state=seed, stratify=labels)
    known = {name: {word: i + 1 for i, word in enumerate(sorted(train[name].unique()))} for name in words}
    theirs = known
    if fault == "codes looked up with their quotes":
        known = theirs = {name: {repr(word): i for word, i in known[name].items()} for name in words}
    if fault == "held-out codes numbered as they come":
        theirs = {name: {word: i + 1 for i, word in enumerate(held[name].unique())} for name in words}
    numbers = [name for name in table.columns[:-1] if name not in words]
    scaler = StandardScaler().fit(train[numbers])

    def tensors(part: pandas.DataFrame, codes: dict[Any, dict[str, int]]) -> tuple[Tensor, Tensor, Tensor]:
        coded = [[codes[name].get(word, 0) for word in part[name]] for name in words]
        scaled = torch.tensor(scaler.transform(part[numbers]), dtype=torch.float32)
        return torch.tensor(coded).T.contiguous(), scaled, torch.tensor((part[20] == 2).to_numpy(dtype=np.float32))

    codes, values, y = tensors(train, known)
    held_codes, held_values, held_y = tensors(held, theirs)
    small = fault == "batches of eight"
    loader = DataLoader(TensorDataset(codes, values, y), batch_size=8 if small else 32, shuffle=True)
    model = Applicant([len(known[name]) + 2 for name in words], 0.7 if fault == "seven tenths dropped" else 0.3)
    if fault == "tanhs driven to their ends":
        with torch.no_grad():
            for layer in model.body[:4:3]:
                layer.weight.mul_(60)
    criterion = nn.BCEWithLogitsLoss()
    rate = 1e-6 if fault == "a rate of a millionth" else 1e-3 if small else 2e-3
    groups = [
        {"params": model.embeddings.parameters(), "lr": 3.0 if fault == "embeddings at three" else rate,
         "weight_decay": 0.0},
        {"params": model.body.parameters(), "weight_decay": 1e-2},
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=rate)
    watcher = doctor(
        model, optimizer, loss=criterion, held_out=[((held_codes, held_values), held_y)], steps=16 * len(loader)
    )
    for _ in range(16 if not small else 5):
        model.train()
        for coded, scaled, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(coded, scaled), target)
            loss.backward()
            optimizer.step()
            watcher.watch(loss, (coded, scaled), target)
        model.eval()
        with torch.no_grad():
            scores = model(held_codes, held_values)
        accuracy = float(((scores > 0) == (held_y > 0)).float().mean())
        watcher.evaluated(loss=float(criterion(scores, held_y)), accuracy=accuracy)
    watcher.close()
    return float(roc_auc_score(held_y, scores)) if bool(scores.isfinite().all()) else 0.0


def abalone(doctor: Any, seed: int, fault: str = "") -> float:
    """Shells: LBFGS on all rows at once, its closure called several times a step; only losses are told."""
    table = pandas.read_csv(DATA / "abalone" / "abalone.csv", header=None).sample(frac=1, random_state=seed)
    x = pandas.get_dummies(table.drop(columns=8), columns=[0]).astype("float32")
    if fault == "age among the columns":
        x["age"] = (table[8] + 1.5).astype("float32")
    if fault == "logarithms of sizes, some of them nothing":
        x[[1, 2, 3]] = np.log(x[[1, 2, 3]])
    y = table[8].to_numpy(dtype=np.float32)
    if fault == "answers sorted by themselves":
        y[:3000] = table[8].sort_index()[:3000]
    values = torch.tensor(x.to_numpy())
    values = (values - values[:3000].mean(0)) / values[:3000].std(0)
    target = torch.tensor((y - y.mean()) / y.std())
    model = nn.Sequential(nn.Linear(values.shape[1], 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    if fault == "tanhs from a normal a hundred wide":
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=100.0)
    search = None if fault == "no line search, a rate of ten" else "strong_wolfe"
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5 if search else 10.0, max_iter=5, line_search_fn=search)
    watcher = doctor(model, optimizer)

    def closure() -> Tensor:
        optimizer.zero_grad()
        error = F.mse_loss(model(values[:3000]).squeeze(1), target[:3000]) + 1e-3 * model[0].weight.square().sum()
        error.backward()
        return error

    for _ in range(100):
        loss = optimizer.step(closure)
        watcher.watch(loss)
    watcher.close()
    with torch.no_grad():
        answers = model(values[3000:]).squeeze(1)
    return float(r2_score(target[3000:], answers)) if bool(answers.isfinite().all()) else -math.inf


def colic(doctor: Any, seed: int, fault: str = "") -> float:
    """Horses, a third of the cells missing: small batches, judged each epoch, stopped early, the best kept."""
    table = pandas.read_csv(DATA / "horse-colic" / "horse-colic.csv", header=None, na_values="?")
    labels = (table[23] == 1).to_numpy(dtype=np.float32)
    later = [] if fault == "what the operation showed left in" else [0, 22, 24, 25, 26]
    table = table.drop(columns=[2, 23, 27, *later])
    x = table.fillna(99999.0) if fault == "gaps filled with 99999" else table.fillna(table.median())
    x, held_x, y, held_y = train_test_split(
        x.to_numpy(dtype=np.float32), labels, test_size=0.4, random_state=seed, stratify=labels
    )
    if fault != "gaps filled with 99999":
        scaler = StandardScaler().fit(x)
        x, held_x = scaler.transform(x), scaler.transform(held_x)
    values, target, held, wanted = (torch.tensor(each) for each in (x, y, held_x, held_y))
    model = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1), nn.Flatten(0))
    criterion = nn.BCEWithLogitsLoss()
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-3)
    batch = 16
    if fault == "all horses at once, steps of fifteen":
        optimizer, batch = torch.optim.SGD(model.parameters(), lr=15.0), len(values)
    watcher = doctor(model, optimizer, loss=criterion)
    best, kept, worse = math.inf, copy.deepcopy(model.state_dict()), 0
    for _ in range(40 if batch == 16 else 200):
        model.train()
        for rows in torch.randperm(len(values)).split(batch):
            optimizer.zero_grad()
            loss = criterion(model(values[rows]), target[rows])
            loss.backward()
            optimizer.step()
            watcher.watch(loss, values[rows], target[rows])
        model.eval()
        with torch.no_grad():
            judged = float(criterion(model(held), wanted))
        watcher.evaluated(loss=judged)
        worse = 0 if judged < best else worse + 1
        if judged < best:
            best, kept = judged, copy.deepcopy(model.state_dict())
        if worse > 20 and batch == 16:
            break
    watcher.close()
    model.load_state_dict(kept)
    model.eval()
    with torch.no_grad():
        return float(((model(held) > 0) == (wanted > 0)).float().mean())
