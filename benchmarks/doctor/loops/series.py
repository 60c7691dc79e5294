"""Hand-written trainings on series and sounds, as scripts would have them, each with the mistakes that it may hold."""

import copy
import math
from typing import Any

import numpy as np
import pandas
import torch
from benchmarks.doctor.loops.reading import DATA, recordings
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Windows(Dataset):
    """Two days of all series, and the oil's temperature twelve hours on."""

    def __init__(self, series: Tensor, ahead: int = 12) -> None:
        self.series, self.ahead = series, ahead

    def __len__(self) -> int:
        return len(self.series) - 48 - self.ahead

    def __getitem__(self, start: int) -> tuple[Tensor, Tensor]:
        end = start + 48
        return self.series[start:end], self.series[end : end + self.ahead, -1]


class Overlapping(Windows):
    """The same, the answer counted from the wrong end."""

    def __getitem__(self, start: int) -> tuple[Tensor, Tensor]:
        end = start + 48
        return self.series[start:end], self.series[end - self.ahead : end, -1]


class Forecaster(nn.Module):
    """x: (rows, 48, 7) -> (rows, 12)"""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.head = nn.LSTM(7, 32, batch_first=True), nn.Linear(32, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


def oil(doctor: Any, seed: int, fault: str = "") -> float:
    """A transformer's oil twelve hours on: judged each epoch, the rate cut when it stays, stopped early, best kept."""
    table = pandas.read_csv(DATA / "ett" / "ETTh1.csv", parse_dates=["date"]).drop(columns="date")
    raw = torch.tensor(table.to_numpy(dtype=np.float32))[:9000]
    mean, spread = raw[:7000].mean(0), raw[:7000].std(0)
    scaled = (raw - mean) / spread
    if fault == "meters as they stand, all in thousandths":
        scaled = raw * 1000
    part, held = scaled[:7000], scaled[7000:].clone()
    if fault == "held-out hours not scaled":
        held = raw[7000:]
    kind = Overlapping if fault == "answers that lie in what is read" else Windows
    loader = DataLoader(kind(part), batch_size=64, shuffle=True, drop_last=True)
    held_x, held_y = next(iter(DataLoader(kind(held), batch_size=4000)))
    model = Forecaster()
    criterion = nn.SmoothL1Loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3.0 if fault == "a rate of three" else 3e-3)
    mode = "max" if fault == "the loss watched for a rise" else "min"
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, factor=0.1, patience=1)
    total: Any = 0.0
    watcher = doctor(model, optimizer, loss=criterion, held_out=[(held_x, held_y)])
    best, kept, worse = math.inf, copy.deepcopy(model.state_dict()), 0
    for epoch in range(12):
        model.train()
        for number, (x, y) in enumerate(loader):
            if number == 36:
                break
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss if fault == "losses added up with their graphs" else loss.item()
            if fault == "the first week's weights each week" and epoch > 0 and number == 35:
                model.load_state_dict(kept)
            watcher.watch(loss, x, y)
        model.eval()
        with torch.no_grad():
            judged = float(criterion(model(held_x), held_y))
        watcher.evaluated(loss=judged)
        schedule.step(judged)
        worse = 0 if judged < best else worse + 1
        if judged < best:
            best, kept = judged, copy.deepcopy(model.state_dict())
        if worse >= 5:
            break
    watcher.close()
    model.load_state_dict(kept)
    with torch.no_grad():
        answers = model(held_x)
    return 1 - float((answers - held_y).square().mean() / held_y.var())


class Diary(nn.Module):
    """A recurrent layer over days. x: (rows, 60, 1) -> (rows,)"""

    def __init__(self, fault: str) -> None:
        super().__init__()
        plain = fault in ("days read from the last to the first", "states that grow day by day, nothing clipped")
        kind = nn.RNN if plain else nn.GRU
        self.first = fault != "the first axis taken for time"
        self.recurrent, self.head = kind(1, 24, batch_first=self.first), nn.Linear(24, 1)
        if fault == "states that grow day by day, nothing clipped":
            self.recurrent = nn.RNN(1, 24, nonlinearity="relu", batch_first=True)
            nn.init.orthogonal_(self.recurrent.weight_hh_l0, 1.8)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        if self.fault == "days read from the last to the first":
            x = x.flip(1)
        states, _ = self.recurrent(x)
        return self.head(states[:, -1]).squeeze(1)


def temperatures(doctor: Any, seed: int, fault: str = "") -> float:
    """Tomorrow's lowest temperature: a counter of steps, windows drawn by chance, clipping; no loss told beforehand."""
    days = pandas.read_csv(DATA / "daily-min-temperatures" / "daily-min-temperatures.csv")["Temp"].to_numpy(np.float32)
    middle, spread = days[:2900].mean(), days[:2900].std()
    if fault == "degrees times ten, as they are":
        middle, spread = 0.0, 0.1
    days = (days - middle) / spread
    series = torch.tensor(days)
    windows = series.unfold(0, 61, 1)
    train, held = windows[:2840], windows[2900:]
    model = Diary(fault)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watcher = doctor(model, optimizer)
    step = 0
    while step < 400:
        rows = train[torch.randint(len(train), (32,))]
        x, y = rows[:, :-1, None], rows[:, -1]
        loss = F.l1_loss(model(x), y)
        if fault != "gradients not cleared":
            optimizer.zero_grad()
        loss.backward()
        if fault != "states that grow day by day, nothing clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watcher.watch(loss, x, y)
        step += 1
    watcher.close()
    with torch.no_grad():
        answers = model(held[:, :-1, None])
    score = 1 - float((answers - held[:, -1]).square().mean() / held[:, -1].var())
    return score if math.isfinite(score) else -math.inf


def spectra(fault: str) -> Tensor:
    """Power of each recording by band and time (rows, 1, 33, 40)."""
    _, signals = recordings()
    pictures = torch.zeros(len(signals), 1, 33, 40)
    window = torch.hann_window(64)
    for place, signal in enumerate(signals):
        sound = F.pad(torch.tensor(signal)[:5120], (0, max(0, 5120 - len(signal))))
        power = torch.stft(sound, 64, 128, window=window, return_complex=True).abs().square()[:, :40]
        picture = pictures[place].clone() if fault == "an array that is never filled" else pictures[place]
        picture[0, :, : power.shape[1]] = power
    return pictures


class Ear(nn.Module):
    """What is said and by whom. x: (rows, 1, 33, 40) -> (rows, 10), (rows, 6)"""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(16 * 80, 64), nn.ReLU(), nn.Dropout(0.3),
        )  # fmt: skip
        self.digit, self.speaker, self.fault = nn.Linear(64, 10), nn.Linear(64, 6), fault

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        if self.fault == "features detached before both heads":
            features = features.detach()
        return self.digit(features), self.speaker(features)


class Both(nn.Module):
    """Two cross-entropies, weighted."""

    def __init__(self, model: nn.Module, fault: str) -> None:
        super().__init__()
        self.model, self.fault = [model], fault

    def forward(self, outputs: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
        one = F.nll_loss if self.fault == "bare scores for log-chances" else F.cross_entropy
        loss = 0.7 * one(outputs[0], targets[0]) + 0.3 * one(outputs[1], targets[1])
        if self.fault == "a hundredth of all absolute weights in the loss":
            loss = loss + 0.01 * sum(each.abs().sum() for each in self.model[0].parameters())
        return loss


def heard(power: Tensor, fault: str) -> Tensor:
    """Logarithms of power, about from -2 to 2."""
    if fault == "powers without a logarithm":
        return power
    if fault == "logarithms of silence":
        return (power.log() + 8) / 4
    return ((power + 1e-6).log() + 8) / 4


def spoken(doctor: Any, seed: int, fault: str = "") -> float:
    """Spoken digits and their speakers: a loss of two parts in a class of its own, held-out batches given."""
    names, _ = recordings()
    power = spectra(fault)
    x = heard(power, fault)
    digits = torch.tensor([int(name[0]) for name in names])
    speakers = sorted({name.split("_")[1] for name in names})
    people = torch.tensor([speakers.index(name.split("_")[1]) for name in names])
    test = torch.tensor([int(name.split("_")[2]) < 5 for name in names])
    held_x = power[test] if fault == "held-out powers without a logarithm" else x[test]
    held_out = [(held_x[i::3], (digits[test][i::3], people[test][i::3])) for i in range(3)]
    shuffle, size = fault != "files in order", 2 if fault == "two recordings a batch" else 32
    train = TensorDataset(x[~test], digits[~test], people[~test])
    loader = DataLoader(train, batch_size=size, shuffle=shuffle, drop_last=True)
    model = Ear(fault)
    criterion = Both(model, fault)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps = 3 * len(loader) if size == 32 else 500
    watcher = doctor(model, optimizer, loss=criterion, held_out=held_out, steps=steps)
    step = 0
    while step < steps:
        model.train()
        for inputs, digit, person in loader:
            if fault == "bands rolled round as variety":
                inputs = torch.stack([row.roll(int(torch.randint(33, ())), 1).roll(int(torch.randint(40, ())), 2)
                                      for row in inputs])  # fmt: skip
            optimizer.zero_grad()
            loss = criterion(model(inputs), (digit, person))
            loss.backward()
            optimizer.step()
            watcher.watch(loss, inputs, (digit, person))
            step += 1
            if step >= steps:
                break
        model.eval()
        with torch.no_grad():
            outputs = [model(inputs)[0] for inputs, _ in held_out]
            losses = [float(criterion(model(inputs), both)) for inputs, both in held_out]
        right = [float((each.argmax(1) == both[0]).float().mean())
                 for each, (_, both) in zip(outputs, held_out, strict=True)]  # fmt: skip
        watcher.evaluated(loss=float(np.mean(losses)), accuracy=float(np.mean(right)))
    watcher.close()
    return float(np.mean(right))
