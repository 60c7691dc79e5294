"""Small networks on tables: houses, borrowers, lesions and shells; a fault stands where it is made, by its name."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from benchmarks.doctor.loops.reading import DATA
from torch import nn

DoctorOf = Callable[..., Any]


def layers(sizes: list[int], between: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """A network of full layers."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        parts += [nn.Linear(before, after), between()]
    return nn.Sequential(*parts[:-1])


def house_rows(fault: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns (rows, 8) in float32 and prices in hundred thousands of dollars (rows,)."""
    frame = pl.read_csv(DATA / "california-housing" / "housing.csv")
    empty = 0.0 if fault == "the logarithm of empty cells" else 435.0
    x = frame.drop("ocean_proximity", "median_house_value").fill_null(empty).to_numpy().astype(np.float32)
    if fault != "columns in the units of the file":
        with np.errstate(divide="ignore"):
            x[:, 3:7] = np.log(x[:, 3:7])
    if fault == "a million below nought where the income was not told":
        x[np.random.default_rng(0).random(len(x)) < 0.03, 7] = -1e6
    return x, frame["median_house_value"].to_numpy().astype(np.float32) / 1e5


def house_model(fault: str) -> nn.Sequential:
    if fault == "ten sigmoids one above the other":
        return layers([8, *[48] * 10, 1], nn.Sigmoid)
    if fault == "six layers at a hundredth of their size":
        model = layers([8, *[64] * 6, 1])
        for layer in model[::2]:
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)
        return model
    return layers([8, 64, 64, 1])


def house_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault in ("six layers at a hundredth of their size", "ten sigmoids one above the other"):
        return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    return torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.3 if fault == "a decay of three tenths" else 0)


def house_split(fault: str, seed: int) -> list[torch.Tensor]:
    """Rows to learn from and held-out ones, with their prices (rows, 1)."""
    x, y = house_rows(fault)
    rows = np.random.default_rng(seed).permutation(len(x))
    train, test = rows[:12000], rows[12000:16000]
    if fault == "rows in the order of their price":
        train = train[np.argsort(y[train], kind="stable")]
    if fault != "columns in the units of the file":
        known = np.where(np.isfinite(x[train]), x[train], np.nan)
        x = (x - np.nanmean(known, 0)) / np.nanstd(known, 0)
    parts = (x[train], y[train, None], np.nan_to_num(x[test], neginf=0), y[test, None])
    return [torch.from_numpy(part.astype(np.float32)) for part in parts]


def houses(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Prices of houses; the share of the variance explained."""
    x, y, held_x, held_y = house_split(fault, seed)
    model, criterion = house_model(fault), nn.HuberLoss() if fault == "the loss of Huber" else nn.MSELoss()
    optimizer = house_optimizer(model, fault)
    steps, size = 700, 1 if fault == "one house at a time" else 128
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, steps) if fault == "one cycle of the rate" else None
    held = list(zip(held_x.split(500), held_y.split(500), strict=True))
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=held, steps=steps)
    seen: list[torch.Tensor] = []
    for step in range(steps):
        pick = torch.randint(len(x), (size,))
        if fault == "rows in the order of their price":
            pick = torch.arange(step * size, (step + 1) * size) % len(x)
        inputs, target = x[pick], y[pick]
        if fault == "prices as a row, answers as a column":
            target = target[:, 0]
        if fault == "prices of some batches in hundreds of dollars" and step % 90 == 60:
            target = target * 1e3
        if fault == "all rows so far ranked once they are enough":
            seen.append(inputs)
            if len(seen) > 480:
                torch.cat(seen)[:, :2].sort(0)
        optimizer.zero_grad()
        loss = criterion(model(inputs), target)
        loss.backward()
        if fault == "every gradient clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        if rates:
            rates.step()
        doctor.watch(loss, inputs, target)
        if step % 100 == 99:
            with torch.no_grad():
                doctor.evaluated(loss=float(F.mse_loss(model(held_x), held_y)))
    doctor.close()
    with torch.no_grad():
        return float(1 - F.mse_loss(model(held_x), held_y) / held_y.var())


def credit(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Borrowers who pay back, or not; the likelihood of the held-out answers."""
    frame = pl.read_csv(DATA / "german-credit" / "german.csv", has_header=False)
    coded = frame[:, :20].to_dummies([name for name, kind in frame.schema.items() if kind == pl.String])
    columns = torch.tensor(coded.to_numpy().astype(np.float32))
    labels = torch.tensor(frame[:, 20].to_numpy() - 1)
    rows = torch.tensor(np.random.default_rng(seed).permutation(len(columns)))
    train, test = rows[:700], rows[700:]
    columns = (columns - columns[train].mean(0)) / (columns[train].std(0) + 1e-6)
    if fault == "a third of the answers turned round":
        turned = train[: len(train) // 3]
        labels = labels.index_put((turned,), 1 - labels[turned])
    free = fault == "no rein on a wide network"
    tanhs = fault == "tanhs begun at their ends"
    model = layers([columns.shape[1], 256 if free else 32, 256 if free else 32, 2], nn.Tanh if tanhs else nn.ReLU)
    if tanhs:
        for layer in model[::2]:
            nn.init.normal_(layer.weight, std=3.0)
    dropout = nn.Dropout(0.0 if free else 0.7 if fault == "seven tenths dropped" else 0.3)
    model = nn.Sequential(dropout, *model)
    decay = 0.0 if free else 0.5 if fault == "a decay of a half" else 0.05
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=decay)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1 if fault == "answers made soft" else 0)
    steps = 300
    doctor = doctor_of(model, optimizer, loss=criterion, held_out=[(columns[test], labels[test])], steps=steps)
    for step in range(steps):
        pick = train[torch.randint(700, (64,))]
        optimizer.zero_grad()
        loss = criterion(model(columns[pick]), labels[pick])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, columns[pick], labels[pick])
        if step % 30 == 29:
            model.eval()
            with torch.no_grad():
                output = model(columns[test])
            right = (output.argmax(1) == labels[test]).float().mean()
            doctor.evaluated(loss=float(F.cross_entropy(output, labels[test])), accuracy=float(right))
            model.train()
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float(torch.exp(-F.cross_entropy(model(columns[test]), labels[test])))


def lesion_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A rare lesion weighs as much as all the others together."""
    return F.binary_cross_entropy_with_logits(output, target, pos_weight=torch.tensor(42.0))


def lesion_loss_of(fault: str) -> Callable[..., torch.Tensor]:
    if fault in ("both kinds weigh the same", "lesions twenty to one"):
        return nn.BCEWithLogitsLoss()
    if fault == "a squared error behind sigmoids that are sure":
        return lambda output, target: ((1 + 41 * target) * (torch.sigmoid(output) - target) ** 2).mean()
    if fault == "a focal loss":
        return focal
    return lesion_loss


def focal(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Lin et al. 2017, with the rare ones weighed."""
    each = F.binary_cross_entropy_with_logits(output, target, reduction="none")
    weight = torch.where(target > 0, 0.97, 0.03)
    return (weight * (1 - torch.exp(-each)) ** 2 * each).mean() * 10


def lesions(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Spots on an X-ray, 260 of 11,183 meant; the mean of both recalls."""
    frame = pl.read_csv(DATA / "mammography" / "mammography.csv", has_header=False)
    values = frame[:, :6].to_numpy().astype(np.float32)
    labels = np.array([float(text.strip("'")) for text in frame[:, 6]], dtype=np.float32)
    if fault != "minus one and one as the file has them":
        labels = (labels > 0).astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(values))
    train, test = rows[:8000], rows[8000:]
    if fault == "lesions twenty to one":
        meant, other = train[labels[train] > 0], train[labels[train] <= 0]
        train = np.concatenate([np.tile(meant, 10), other[: len(meant) * 200]])
    values = (values - values[train].mean(0)) / values[train].std(0)
    x, y = torch.tensor(values[train]), torch.tensor(labels[train])
    model = layers([6, 32, 32, 1])
    if fault == "a squared error behind sigmoids that are sure":
        nn.init.constant_(model[-1].bias, -12.0)
    criterion, steps = lesion_loss_of(fault), 1500 if fault == "on and on after it has learned" else 400
    optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    if fault == "a squared error behind sigmoids that are sure":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    doctor = doctor_of(model, optimizer, loss=criterion)
    for _ in range(steps):
        pick = torch.randint(len(x), (256,))
        optimizer.zero_grad()
        answer = model(x[pick])[:, 0]
        loss = criterion(answer, y[pick])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[pick], y[pick])
    doctor.close()
    with torch.no_grad():
        said = model(torch.tensor(values[test]))[:, 0].numpy() > 0
    return float((said[labels[test] > 0].mean() + (~said[labels[test] <= 0]).mean()) / 2)


def shell_model(fault: str) -> nn.Sequential:
    if fault == "eight layers of three times their weight":
        model = layers([9, *[32] * 8, 3])
        for layer in model[::2]:
            nn.init.normal_(layer.weight, std=3 / layer.weight.shape[1] ** 0.5)
        return model
    model = layers([9, 1, 3]) if fault == "a single unit" else layers([9, 32, 32, 3])
    if fault == "a head a hundred times as heavy":
        nn.init.normal_(model[-1].weight, std=30.0)
    return model.half() if fault == "all in half precision" else model


def shell_optimizer(model: nn.Module, fault: str) -> torch.optim.Optimizer:
    if fault == "up the hill":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, maximize=True)
    if fault == "a rate that kills":
        return torch.optim.SGD(model.parameters(), lr=3.0, momentum=0.9)
    if fault == "the whole table at the edge of what is stable":
        return torch.optim.SGD(model.parameters(), lr=3.0)
    if fault == "all in half precision":
        return torch.optim.Adam(model.parameters(), lr=2e-3)
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def shells(doctor_of: DoctorOf, seed: int, fault: str = "") -> float:
    """Young, grown and old abalones by their shells; accuracy."""
    frame = pl.read_csv(DATA / "abalone" / "abalone.csv", has_header=False)
    rings = frame[:, 8].to_numpy()
    values = frame[:, 1:8].to_numpy()
    sexes = (frame[:, 0] == "I").to_numpy(), (frame[:, 0] == "M").to_numpy()
    last = np.exp(rings / 20.0) if fault == "what was counted stays among the columns" else sexes[1]
    values = np.stack([*values.T, sexes[0], last], 1).astype(np.float32)
    rows = np.random.default_rng(seed).permutation(len(values))
    train, test = rows[:3000], rows[3000:]
    values = (values - values[train].mean(0)) / values[train].std(0)
    x = torch.tensor(values, dtype=torch.float16 if fault == "all in half precision" else torch.float32)
    y = torch.tensor(np.digitize(rings, [9, 11]))
    model = shell_model(fault)
    optimizer = shell_optimizer(model, fault)
    criterion = nn.NLLLoss() if fault == "likelihood of what is not its logarithm" else nn.CrossEntropyLoss()
    doctor = doctor_of(model, optimizer, loss=criterion)
    whole = fault == "the whole table at the edge of what is stable"
    learned, best, kept = torch.tensor(train), 9.0, copy.deepcopy(model.state_dict())
    for step in range(500):
        pick = learned if whole else learned[torch.randint(len(learned), (64,))]
        if fault != "never set to nought":
            optimizer.zero_grad()
        loss = criterion(model(x[pick]), y[pick])
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[pick], y[pick])
        if fault == "the best of its weights kept" and step > 300 and loss.item() < best:
            best, kept = loss.item(), copy.deepcopy(model.state_dict())
    doctor.close()
    if fault == "the best of its weights kept":
        model.load_state_dict(kept)
    with torch.no_grad():
        return float((model(x[test]).float().argmax(1) == y[test]).float().mean())
