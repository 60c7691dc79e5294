"""Spoken digits from their waves and from their bands, and characters told alike or unlike by a pair of networks."""

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf, waves
from benchmarks.doctor.loops.planted import FAST, NOTHING, STEEP, TIRED, Mistake
from benchmarks.doctor.loops.reading import characters
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Waves(nn.Module):
    """Convolutions with norms straight upon the wave, the moments' mean, a layer."""

    def __init__(self, wide: int = 24) -> None:
        super().__init__()
        self.conv1, self.bn1, self.pool1 = nn.Conv1d(1, wide, 80, 8), nn.BatchNorm1d(wide), nn.MaxPool1d(2)
        self.conv2, self.bn2, self.pool2 = nn.Conv1d(wide, wide, 3), nn.BatchNorm1d(wide), nn.MaxPool1d(4)
        self.conv3, self.bn3, self.pool3 = nn.Conv1d(wide, 2 * wide, 3), nn.BatchNorm1d(2 * wide), nn.MaxPool1d(2)
        self.fc1 = nn.Linear(2 * wide, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = self.pool2(F.relu(self.bn2(self.conv2(x))))
        x = self.pool3(F.relu(self.bn3(self.conv3(x))))
        return F.log_softmax(self.fc1(F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)), dim=2)


def sound_waves(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Spoken digits from the wave itself, after the tutorial on sound; score: share of right answers."""
    sound, _, digit, held = waves(4096)
    sound = sound / sound.abs().amax(1, keepdim=True)
    if name == "clips cut to their first thirtieth of a second":
        sound = torch.where(torch.arange(4096) < 264, sound, 0.0)
    x, y, test, truth = sound[~held][:, None], digit[~held], sound[held][:, None], digit[held]
    known = torch.arange(len(x))
    if name == "sixty clips":
        known = known[::45]
    model = Waves(1 if name == "one channel all the way" else 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.006, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=125, gamma=0.3)
    doctor = doctor_of(model, optimizer)
    size = 16 if name == "batches of sixteen" else 32
    for step in range(250):
        model.train()
        rows = known[torch.randint(len(known), (size,))]
        if name == "files taken as they lie":
            rows = known[torch.arange(step * size, (step + 1) * size) % len(known)]
        output = model(x[rows])
        loss = F.nll_loss(output.squeeze(1), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(test).squeeze(1).argmax(1) == truth).float().mean())


class Spoken(nn.Module):
    """A gated recurrence over moments that are there, the last of which tells the digit."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.norm, self.gru, self.out = nn.LayerNorm(32), nn.GRU(32, 40, batch_first=True), nn.Linear(40, 10)
        self.last = last

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = self.norm(x)
        if self.last == "the place behind the end":
            return self.out(self.gru(x)[0][:, -1])
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        found, hidden = self.gru(packed)
        if self.last == "the padded end":
            return self.out(pad_packed_sequence(found, batch_first=True)[0][:, -1])
        return self.out(hidden[-1])


def spoken_lengths(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Spoken digits of unlike length by packed sequences; score: share of right answers."""
    sound, long, digit, held = waves(8192)
    power = torch.stft(sound, 256, 128, window=torch.hann_window(256), center=False, return_complex=True).abs()
    x = (power[:, 1:129].unflatten(1, (32, 4)).mean(2) + 1e-3).log().transpose(1, 2)
    lengths = ((long - 256) // 128 + 1).clamp(3)
    last = {"the last place taken, padded or not": "the padded end"}.get(name, "")
    if name == "no packing, and silence to the end":
        last = "the place behind the end"
        x = torch.cat((x, x.new_full((len(x), 60, 32), -6.9)), 1)
    x_known, y_known, l_known = x[~held], digit[~held], lengths[~held]
    model = Spoken(last)
    if name == "gates driven to their ends":
        nn.init.normal_(model.gru.weight_ih_l0, std=20.0)
        nn.init.normal_(model.gru.weight_hh_l0, std=20.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01 if name != "a rate of one" else 1.0)
    focus = 2.0 if name == "a focal loss" else 0.0

    def focal(scores: Tensor, wanted: Tensor) -> Tensor:
        each = F.cross_entropy(scores, wanted, reduction="none")
        return ((1 - torch.exp(-each)) ** focus * each).mean() if focus else each.mean()

    doctor = doctor_of(model, optimizer, loss=focal)
    for _ in range(150):
        rows = torch.randint(len(x_known), (32,))
        loss = focal(model(x_known[rows], l_known[rows]), y_known[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        doctor.watch(loss, (x_known[rows], l_known[rows]), y_known[rows])
    doctor.close()
    with torch.no_grad():
        return float((model(x[held], lengths[held]).argmax(1) == digit[held]).float().mean())


class Twins(nn.Module):
    """One network for both pictures; near places mean the same character."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(600, 32),
        )  # fmt: skip

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return self.cnn(first), self.cnn(second)


def twins(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Characters alike or unlike by twin networks and a margin; score: 2 x area under the curve - 1 on new ones."""
    ink, kind, _ = (torch.tensor(each) for each in characters())
    ink, chance = ink[:, None], torch.Generator().manual_seed(5)
    old = torch.nonzero(kind < 100).squeeze(1)
    new = torch.nonzero(kind >= 100).squeeze(1)
    starts, net = torch.searchsorted(kind, torch.arange(137)), Twins()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    margin = 2.0

    def pairs(rows: Tensor, of: Tensor, from_: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        like = torch.rand(len(rows), generator=from_) < 0.5
        if name == "alike ones alone" and from_ is None:
            like = torch.ones_like(like)
        same = starts[kind[rows]] + torch.randint(20, (len(rows),), generator=from_)
        other = of[torch.randint(len(of), (len(rows),), generator=from_)]
        second = torch.where(like, same, other)
        return ink[rows], ink[second], (kind[rows] != kind[second]).float()

    def contrastive(places: tuple[Tensor, Tensor], unlike: Tensor) -> Tensor:
        if name == "a root of nought":
            distance = (places[0] - places[1]).square().sum(1).sqrt()
        else:
            distance = F.pairwise_distance(*places)
        if name == "what is alike pushed, what is not pulled":
            unlike = 1 - unlike
        if name == "a margin that is added":
            return ((1 - unlike) * distance**2 + unlike * (margin + distance).clamp(min=0) ** 2).mean()
        return ((1 - unlike) * distance**2 + unlike * (margin - distance).clamp(min=0) ** 2).mean()

    doctor = doctor_of(net, optimizer)
    for _ in range(300):
        rows = old[torch.randint(len(old), (48,))]
        first, second, unlike = pairs(rows, old, None)
        loss = contrastive(net(first, second), unlike)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, (first, second), unlike)
    doctor.close()
    first, second, unlike = pairs(new[torch.randint(len(new), (1000,), generator=chance)], new, chance)
    with torch.no_grad():
        far = torch.nan_to_num(F.pairwise_distance(*net(first, second)))
    above = far[unlike == 1][:, None] - far[unlike == 0][None]
    return 2 * float((above > 0).float().mean() + 0.5 * (above == 0).float().mean()) - 1


PROGRAMS = (sound_waves, spoken_lengths, twins)
AWKWARD = (("sound_waves", "batches of sixteen"), ("spoken_lengths", "a focal loss"))
MISTAKES = (
    Mistake("sound_waves", "clips cut to their first thirtieth of a second", "bad-features",
            ("underfitting", "plateau", "cannot-fit-one-batch"), False),
    Mistake("sound_waves", "sixty clips", "overfitting", (), False),
    Mistake("sound_waves", "one channel all the way", "underfitting", ("cannot-fit-one-batch", "plateau"), False),
    Mistake("sound_waves", "files taken as they lie", "data-not-shuffled"),
    Mistake("spoken_lengths", "the last place taken, padded or not", "padding-or-mask-fault", NOTHING, False),
    Mistake("spoken_lengths", "no packing, and silence to the end", "padding-or-mask-fault",
            ("no-long-range-signal", "vanishing-gradient", *NOTHING), False),
    Mistake("spoken_lengths", "gates driven to their ends", "saturated-activations",
            (*STEEP, "exploding-gradient", "no-long-range-signal")),
    Mistake("spoken_lengths", "a rate of one", "learning-rate-too-high", (*FAST, "saturated-activations", "plateau")),
    Mistake("twins", "alike ones alone", "representation-collapse", ("loss-head-mismatch", "class-imbalance"), False),
    Mistake("twins", "a root of nought", "non-finite-values", (), False),
    Mistake("twins", "what is alike pushed, what is not pulled", "gradient-ascent",
            ("label-noise", "loss-head-mismatch", "targets-out-of-range"), False),
    Mistake("twins", "a margin that is added", "representation-collapse", ("loss-head-mismatch", *TIRED), False),
)  # fmt: skip
