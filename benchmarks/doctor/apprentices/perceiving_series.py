"""Series read to say what comes next: days of cold, spots of the sun, a station's hours, causal convolutions."""

import time

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf
from benchmarks.doctor.loops.planted import FAST, NOTHING, SLOW, Mistake
from benchmarks.doctor.outpatients.supervised_data import numbers, transformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, Dataset


class Reader(nn.Module):
    """A recurrent layer and a layer behind its last moment."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.lstm, self.linear = nn.LSTM(1, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.lstm(x)
        return self.linear(x[:, -1])


def cold_days(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The next day's cold from twenty by an LSTM, as mastered in a blog; score: share of variance explained."""
    cold = numbers("daily-min-temperatures", "daily-min-temperatures.csv").clone()
    mean, spread = cold[:2600].mean(), cold[:2600].std()
    cold = (cold - mean) / spread
    ahead = 0 if name == "windows that hold the day to be told" else 1
    windows = cold.unfold(0, 20, 1)[: -1 if ahead else None, :, None]
    answers = cold[19 + ahead :][:, None]
    if name == "held-out days in other units":
        windows = torch.cat((windows[:2600], windows[2600:] * 1.8 + 2.0))
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    loss_fn = nn.MSELoss()
    doctor = doctor_of(model, optimizer, loss=loss_fn, held_out=[(windows[2600:3000], answers[2600:3000])])
    for _ in range(8):
        model.train()
        for rows in torch.randperm(2600).split(50):
            batch = windows[rows] + 0.1 * torch.randn(len(rows), 20, 1) * (name == "noise upon what is read")
            if name == "days written into a list one by one":
                batch = torch.stack([torch.tensor([[float(v)] for v in windows[row, :, 0]]) for row in rows])
            loss = loss_fn(model(batch), answers[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, batch, answers[rows])
    doctor.close()
    model.eval()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(windows[2600:]), answers[2600:]) / answers[2600:].var())


class Plain(nn.Module):
    """A recurrent network written out by hand: three matrices and a loop."""

    def __init__(self, hidden: int, scale: float) -> None:
        super().__init__()
        self.read, self.out = nn.Linear(1, hidden), nn.Linear(hidden, 1)
        self.carry = nn.Parameter(torch.empty(hidden, hidden))
        nn.init.orthogonal_(self.carry, scale)

    def forward(self, x: Tensor, state: Tensor, keep: float = 1.0, relu: bool = False) -> tuple[Tensor, Tensor]:
        told = []
        for moment in x.unbind(1):
            state = self.read(moment) + keep * state @ self.carry
            state = torch.relu(state) if relu else torch.tanh(state)
            told.append(self.out(state))
        return torch.stack(told, 1), state


def sun_spots(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Spots of the sun a year ahead by a hand-written recurrence, clipped; score: share of variance explained."""
    spots = numbers("monthly-sunspots", "monthly-sunspots.csv").sqrt()
    spots = (spots - spots[:2000].mean()) / spots[:2000].std()
    scale = {"matrices that stretch, nothing clipped": 1.6, "a matrix that forgets": 1e-3}.get(name, 0.9)
    net = Plain(32, scale)
    relu = name == "matrices that stretch, nothing clipped"
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    doctor = doctor_of(net, optimizer)
    runs = spots[:2016].view(12, 168)[..., None]
    for _ in range(300):
        at = torch.randint(168 - 48 - 12, (1,)).item()
        x, y = runs[:, at : at + 48], runs[:, at + 12 : at + 60]
        if name == "answers of another year":
            y = runs[:, torch.randint(168 - 48, (1,)).item() :][:, :48]
        found, _ = net(x, torch.zeros(12, 32), 0.0 if name == "the state left behind each month" else 1.0, relu)
        loss = F.mse_loss(found, y)
        if name == "the loss of a library that maximises":
            loss = -loss.clamp(max=50)
        if name != "gradients kept":
            optimizer.zero_grad()
        loss.backward()
        if not relu:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0 if name != "gradients kept" else 1e9)
        optimizer.step()
        doctor.watch(loss)
    doctor.close()
    with torch.no_grad():
        held = spots[2016:][None, :, None]
        found, _ = net(held[:, :-12], torch.zeros(1, 32), 0.0 if "left behind" in name else 1.0, relu)
        return max(-9.0, 1 - float(F.mse_loss(found[:, 24:], held[:, 36:]) / held[:, 36:].var()))


class Hours(Dataset):
    """Windows of a station's series: what is read and what is to be told."""

    def __init__(self, series: Tensor, read: int, told: int, slow: bool) -> None:
        self.series, self.read, self.told, self.slow = series, read, told, slow

    def __len__(self) -> int:
        return len(self.series) - self.read - self.told

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        if self.slow:
            time.sleep(0.0005)
        middle = at + self.read
        return self.series[at:middle], self.series[middle : middle + self.told]


class Decomposed(nn.Module):
    """A moving mean and what is left, each told by one layer for all series."""

    def __init__(self, read: int, told: int) -> None:
        super().__init__()
        self.trend, self.season = nn.Linear(read, told), nn.Linear(read, told)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        trend = F.avg_pool1d(F.pad(x, (12, 12), mode="replicate"), 25, 1)
        return (self.trend(trend) + self.season(x - trend)).transpose(1, 2)


def station_hours(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A day of a station's series by two layers, in the loop of the papers; score: error saved against the mean."""
    series = transformer()
    train = Hours(series[:8640], 96, 24, name == "each window read from a slow disk")
    loader = DataLoader(train, batch_size=32, shuffle=True, drop_last=True)
    test = Hours(series[8640:11520], 96, 24, False)
    x, y = (torch.stack(each) for each in zip(*[test[at] for at in range(0, len(test), 12)], strict=True))
    model = Decomposed(96, 24)
    start = 1e-3
    model_optim = torch.optim.Adam(model.parameters(), lr=start)
    criterion = nn.MSELoss()
    validation = (x[:60], y[:60])
    doctor = doctor_of(model, model_optim, loss=criterion, held_out=[validation])
    step = 0
    while step < 300:
        for batch_x, batch_y in loader:
            model_optim.zero_grad()
            outputs = model(batch_x)
            loss = criterion(outputs, batch_y)
            loss.backward()
            model_optim.step()
            step += 1
            if name == "the rate halved at each batch" or (step % 100 == 0 and name != "the rate halved at each batch"):
                for group in model_optim.param_groups:
                    group["lr"] *= 0.5
            doctor.watch(loss, batch_x, batch_y)
            if step == 300:
                break
    doctor.close()
    with torch.no_grad():
        return 1 - float(F.mse_loss(model(x), y) / F.mse_loss(x.mean(1, keepdim=True).expand_as(y), y))


class Causal(nn.Module):
    """Blocks of widening convolutions over the past, added to what they read."""

    def __init__(self, channels: int, chomp: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(7, channels, 1)
        self.convs = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, 3, dilation=2**k)) for k in range(3))
        self.last, self.chomp = nn.Conv1d(channels, 7, 1), chomp

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for k, each in enumerate(self.convs):
            wide = 2 * 2**k
            x = x + F.relu(each(F.pad(x, (wide, 0) if self.chomp else (wide // 2, wide // 2))))
        return self.last(x)


def causal_hours(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Each next hour of the series by causal convolutions; score: share of variance explained."""
    series = transformer()
    net = Causal(24, name != "as much padded behind as before")
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, 1.0, 40 if name == "warmed up" else 1)
    doctor = doctor_of(net, optimizer)
    for _ in range(300):
        at = torch.randint(8640 - 97, (16,))
        rows = series[at[:, None] + torch.arange(97)]
        if name == "hours and series laid out anew":
            rows = rows.reshape(16, 7, 97).transpose(1, 2)
        x, y = rows[:, :-1].transpose(1, 2), rows[:, 1:].transpose(1, 2)
        loss = F.smooth_l1_loss(net(x), y)
        if name == "all weights in the loss, absolutely":
            loss = loss + 0.05 * sum(each.abs().sum() for each in net.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm.step()
        doctor.watch(loss, x, y)
    doctor.close()
    with torch.no_grad():
        rows = series[8640:11520].view(30, 96, 7).transpose(1, 2)
        x, y = rows[..., :-1], rows[..., 1:]
        return 1 - float(F.mse_loss(net(x)[..., 16:], y[..., 16:]) / y[..., 16:].var())


PROGRAMS = (cold_days, sun_spots, station_hours, causal_hours)
AWKWARD = (("cold_days", "noise upon what is read"), ("causal_hours", "warmed up"))
MISTAKES = (
    Mistake("cold_days", "windows that hold the day to be told", "data-leakage", (), False, "too good"),
    Mistake("cold_days", "held-out days in other units", "preprocessing-mismatch", (), False),
    Mistake("cold_days", "days written into a list one by one", "dataloader-starvation", (), False, "symptom"),
    Mistake("sun_spots", "matrices that stretch, nothing clipped", "exploding-gradient",
            (*FAST, "bad-initialization", "wrong-initial-loss", "loss-spike")),
    Mistake("sun_spots", "the state left behind each month", "no-long-range-signal",
            ("disconnected-parameters", "underfitting"), False),
    Mistake("sun_spots", "answers of another year", "label-noise", NOTHING, False),
    Mistake("sun_spots", "the loss of a library that maximises", "gradient-ascent", FAST, False),
    Mistake("sun_spots", "gradients kept", "missing-zero-grad"),
    Mistake("station_hours", "each window read from a slow disk", "dataloader-starvation", (), False, "symptom"),
    Mistake("station_hours", "the rate halved at each batch", "learning-rate-too-low", SLOW),
    Mistake("causal_hours", "as much padded behind as before", "data-leakage", ("cross-sample-leak",), False,
            "too good"),
    Mistake("causal_hours", "hours and series laid out anew", "cross-sample-leak",
            ("label-noise", "preprocessing-mismatch", *NOTHING), False),
    Mistake("causal_hours", "all weights in the loss, absolutely", "over-regularized", (), False),
)  # fmt: skip
