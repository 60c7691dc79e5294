"""What draws new pictures: a VAE, a conditional VAE and a diffusion model, and what goes wrong in them."""

import copy
import math

import torch
from benchmarks.doctor.apprentices.composing_data import TURNED, DoctorOf, digits, small_digits
from benchmarks.doctor.loops.planted import ASCENT, FAST, Mistake
from torch import Tensor, nn
from torch.nn import functional as F


class VAE(nn.Module):
    """784-200-16-200-784, as in the example that everybody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 200), nn.Linear(200, 16), nn.Linear(200, 16)
        self.fc3, self.fc4 = nn.Linear(16, 200), nn.Linear(200, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)), mu, logvar


def vae(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The example's VAE of digits; score: share saved of what a picture costs by the mean picture."""
    x, far = digits("train", 6000)[0].flatten(1), digits("test", 1000)[0].flatten(1)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def loss_function(recon: Tensor, data: Tensor, mu: Tensor, logvar: Tensor, step: int) -> Tensor:
        mean = name == "the picture's part averaged, the divergence summed"
        bce = F.binary_cross_entropy(recon, data, reduction="mean" if mean else "sum")
        kld = -0.5 * (1 + logvar - mu.square() - logvar.exp())
        if name == "half a nat free in each place":
            kld = kld.mean(0).clamp(min=0.5) * len(data)
        weight = min(1.0, step / 150) if name == "divergence warmed up" else 1.0
        weight = -1.0 if name == "the divergence's minus lost" else weight
        return (bce + weight * kld.sum()) / (1 if mean else len(data))

    doctor = doctor_of(model, optimizer)
    for epoch in range(6):
        model.train()
        for step, rows in enumerate(torch.randperm(6000).split(100)):
            if name != "zero_grad once an epoch" or step == 0:
                optimizer.zero_grad()
            data = x[rows]
            recon, mu, logvar = model(data)
            loss = loss_function(recon, data, mu, logvar, epoch * 60 + step)
            loss.backward()
            optimizer.step()
            doctor.watch(loss, data)
    doctor.close()
    model.eval()
    with torch.no_grad():
        told = F.binary_cross_entropy(model.decode(model.encode(far)[0]), far)
        return 1 - float(told / F.binary_cross_entropy(x.mean(0).clamp(1e-4, 1).expand_as(far), far))


class Conditional(nn.Module):
    """A VAE of small pictures that is told the digit on both sides."""

    def __init__(self, anew: bool) -> None:
        super().__init__()
        self.label = nn.Embedding(10, 10)
        self.encoder = nn.Sequential(nn.Linear(206, 128), nn.ReLU(), nn.Linear(128, 16))
        self.decoder = nn.Sequential(nn.Linear(18, 128), nn.ReLU(), nn.Linear(128, 196), nn.Tanh())
        self.anew = anew

    def condition(self, y: Tensor) -> Tensor:
        return nn.Embedding(10, 10)(y) if self.anew else self.label(y)

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        return self.decoder(torch.cat((z, self.condition(y)), 1))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encoder(torch.cat((x, self.condition(y)), 1)).chunk(2, 1)
        return self.decode(mu + (0.5 * logvar).exp() * torch.randn_like(mu), y), mu, logvar


def wanted_digit(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A conditional VAE; score: how often a drawn digit is nearest to the mean of those that were asked for."""
    x, y = small_digits("train", 5000).flatten(1), digits("train", 5000)[1]
    model = Conditional(name == "a new table of labels at each call")
    rate = 1.0 if name == "a rate of one" else 3e-3
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=0.0)
    doctor = doctor_of(model, optimizer)
    for _ in range(400):
        rows = torch.randint(5000, (64,))
        label = y[rows]
        recon, mu, logvar = model(x[rows], label)
        error = (recon - x[rows]).square().sum(1).mean()
        kld = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean()
        loss = error + kld
        optimizer.zero_grad()
        loss.backward()
        if name == "clipped":
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        doctor.watch(loss, (x[rows], label))
    doctor.close()
    means = torch.stack([x[y == each].mean(0) for each in range(10)])
    torch.manual_seed(1)
    asked = torch.arange(1000) % 10
    with torch.no_grad():
        drawn = model.decode(torch.randn(1000, 8), asked)
    return float((torch.cdist(drawn, means).argmin(1) == asked).float().mean())


class Denoise(nn.Module):
    """Which noise is in a small picture at a time: three layers, told the time by sines."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 256))
        self.first, self.second = nn.Linear(196, 256), nn.Linear(256, 256)
        self.third, self.out = nn.Linear(256, 256), nn.Linear(256, 196)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angle = t[:, None] * torch.exp(-math.log(1000.0) * torch.arange(16) / 16)
        when = self.time(torch.cat((angle.sin(), angle.cos()), 1))
        h = F.silu(self.first(x.flatten(1)) + when)
        h = h + F.silu(self.second(h) + when)
        h = h + F.silu(self.third(h))
        return self.out(h).view_as(x)


def diffusion(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """DDPM of small digits by 100 times; score: 1 less the error of the noise that is found in new pictures."""
    x, far = small_digits("train", 6000), small_digits("test", 1000)
    bytewise = name == "pictures left in bytes"
    x, far = ((each + 1) * 127.5 if bytewise else each for each in (x, far))
    bar = (1 - torch.linspace(1e-3, 0.1, 100)).cumprod(0)[:, None, None, None]
    model = Denoise()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    average = copy.deepcopy(model)

    def noised(x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return bar[t].sqrt() * x0 + (1 - bar[t]).sqrt() * noise

    doctor = doctor_of(model, optimizer)
    for step in range(400):
        x0 = x[torch.randint(6000, (96,))]
        if name == "four late batches left in bytes" and step in range(380, 384):
            x0 = (x0 + 1) * 127.5 * 100
        t = torch.randint(100, (1 if name == "one time a batch" else 96,)).expand(96)
        noise = torch.randn_like(x0)
        noisy = noised(x0, t, noise)
        answer = torch.randn_like(x0) if name == "noise drawn again for the answer" else noise
        loss = F.mse_loss(model(noisy, t.float()), answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 0.05)
        doctor.watch(loss, (noisy, t.float()), answer)
    doctor.close()
    if name == "judged by an average of the weights":
        model = average
    torch.manual_seed(1)
    t, noise = torch.arange(1000) % 100, torch.randn_like(far)
    with torch.no_grad():
        return 1 - F.mse_loss(model(noised(far, t, noise), t.float()), noise).item()


PROGRAMS = (vae, wanted_digit, diffusion)
AWKWARD = (
    ("vae", "half a nat free in each place"), ("vae", "divergence warmed up"), ("wanted_digit", "clipped"),
    ("diffusion", "judged by an average of the weights"),
)  # fmt: skip
MISTAKES = (
    Mistake("vae", "the picture's part averaged, the divergence summed", "posterior-collapse", ("over-regularized",)),
    Mistake("vae", "the divergence's minus lost", "gradient-ascent", ASCENT, False),
    Mistake("vae", "zero_grad once an epoch", "missing-zero-grad"),
    Mistake("wanted_digit", "a new table of labels at each call", "disconnected-parameters", ("label-noise",), False),
    Mistake("wanted_digit", "a rate of one", "learning-rate-too-high", (*FAST, "saturated-activations")),
    Mistake("diffusion", "pictures left in bytes", "input-not-normalized", ("wrong-initial-loss",)),
    Mistake("diffusion", "noise drawn again for the answer", "label-noise", TURNED, False),
    Mistake("diffusion", "four late batches left in bytes", "loss-spike",
            ("bad-features", "input-not-normalized", "exploding-gradient")),
)  # fmt: skip
