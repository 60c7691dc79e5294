"""Hand-written trainings of what draws digits, as scripts would have them, each with the mistakes that it may hold."""

import copy
import math
from typing import Any

import numpy as np
import torch
from benchmarks.doctor.loops.reading import parquet
from torch import Tensor, nn
from torch.nn import functional as F


def ink(part: str, count: int, side: int = 28) -> Tensor:
    """Digits as rows of ink from 0 to 1."""
    x = torch.tensor(parquet("mnist", part, count)[0]).float().div(255).unsqueeze(1)
    return (x if side == 28 else F.avg_pool2d(x, 2)).flatten(1)


def cleaner(fault: str) -> nn.Sequential:
    """Noisy digits to clean ones: (rows, 784) -> (rows, 784)."""
    if fault == "eight rounds of sigmoids":
        parts: list[nn.Module] = [nn.Linear(784, 64), nn.Sigmoid()]
        for _ in range(7):
            parts += [nn.Linear(64, 64), nn.Sigmoid()]
        return nn.Sequential(*parts, nn.Linear(64, 784))
    model = nn.Sequential(
        nn.Linear(784, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 128),
        nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 784),
    )  # fmt: skip
    if fault == "a rectifier behind a bias below zero":
        model.append(nn.ReLU())
        nn.init.constant_(model[8].bias, -4.0)
    if fault == "weights of one number":
        for each in model:
            if isinstance(each, nn.Linear):
                nn.init.constant_(each.weight, 0.01)
    return model


def denoiser(doctor: Any, seed: int, fault: str = "") -> float:
    """Noise taken from digits: a plain loop over permutations; an average of the weights is what is judged."""
    clean, held = ink("train", 6000), ink("test", 1000)
    held_noisy = held + 0.4 * torch.randn(held.shape, generator=torch.Generator().manual_seed(1))
    model = cleaner(fault)
    average = copy.deepcopy(model)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watcher = doctor(model, optimizer, loss=criterion)
    outputs: list[Tensor] = []
    for _ in range(5):
        for rows in torch.randperm(len(clean)).split(100):
            x = clean[rows] + 0.4 * torch.randn(len(rows), 784)
            y = clean[rows]
            output = model(x)
            loss = criterion(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for mean, value in zip(average.parameters(), model.parameters(), strict=True):
                    mean.lerp_(value, 0.03)
                if fault != "an average without the norms' numbers":
                    for mean, value in zip(average.buffers(), model.buffers(), strict=True):
                        mean.copy_(value)
            if fault == "outputs of all batches kept":
                outputs.append(output)
            watcher.watch(loss, x, y)
        average.eval()
        with torch.no_grad():
            judged = criterion(average(held_noisy), held)
        watcher.evaluated(loss=float(judged))
    watcher.close()
    return 1 - float(judged) / float(held.var(0).mean())


class Dreamer(nn.Module):
    """Digits to eight numbers and back. x: (rows, 784) -> scores, means, log-variances"""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 16))
        self.decoder = nn.Sequential(nn.Linear(8, 200), nn.ReLU(), nn.Linear(200, 784))
        self.fault = fault

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.fault != "an encoder under no_grad"):
            mean, spread = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + torch.randn_like(mean) * (0.5 * spread).exp()), mean, spread


def dreams(doctor: Any, seed: int, fault: str = "") -> float:
    """A variational autoencoder: its two losses in the loop, the divergence told as a number beside."""
    train, held = ink("train", 6000), ink("test", 1000)
    model = Dreamer(fault)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5 if fault == "a rate of a half" else 2e-3)
    watcher = doctor(model, optimizer)
    step = 0
    for _ in range(7):
        for rows in torch.randperm(len(train)).split(100):
            if fault == "gone on from half of a checkpoint" and step == 400:
                for each in model.encoder:
                    if isinstance(each, nn.Linear):
                        each.reset_parameters()
            x = train[rows]
            scores, mean, spread = model(x)
            errors = F.binary_cross_entropy_with_logits(scores, x, reduction="sum") / len(x)
            kl = -0.5 * (1 + spread - mean.square() - spread.exp()).sum() / len(x)
            beta = step / 20 if fault == "a warm-up of the divergence that does not end" else min(1.0, step / 20)
            loss = errors + beta * kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.watch(loss, x, kl=float(kl.detach()))
            step += 1
    watcher.close()
    with torch.no_grad():
        scores, mean, spread = model(held)
        errors = F.binary_cross_entropy_with_logits(scores, held, reduction="sum") / len(held)
        kl = -0.5 * (1 + spread - mean.square() - spread.exp()).sum() / len(held)
        plain = F.binary_cross_entropy(train.mean(0).expand_as(held), held, reduction="sum") / len(held)
    score = 1 - float((errors + kl) / plain)
    return score if math.isfinite(score) else -math.inf


def noise(rows: int, fault: str) -> Tensor:
    if fault == "one draw of noise for the whole batch":
        return torch.randn(1, 32).expand(rows, 32)
    return torch.randn(rows, 32)


def forger(doctor: Any, seed: int, fault: str = "") -> float:
    """Two players draw and judge digits in turn: two optimizers, two losses told, pictures shown now and then."""
    real = ink("train", 6000, 14) * 2 - 1
    generator = nn.Sequential(
        nn.Linear(32, 128), nn.LeakyReLU(0.2), nn.BatchNorm1d(128), nn.Linear(128, 256), nn.LeakyReLU(0.2),
        nn.BatchNorm1d(256), nn.Linear(256, 196), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Linear(196, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    criterion = nn.BCEWithLogitsLoss()
    drawing = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    judging = torch.optim.Adam(judge.parameters(), lr=5e-4, betas=(0.5, 0.999))
    if fault == "real digits in bytes, drawn ones from -1 to 1":
        real = (real + 1) * 127.5
    watcher = doctor(
        nn.ModuleDict({"generator": generator, "discriminator": judge}),
        {"generator": drawing, "discriminator": judging},
    )
    ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
    for step in range(600):
        shown = real[torch.randint(len(real), (64,))]
        fake = generator(noise(64, fault))
        if fault != "the judge's gradients not cleared":
            judging.zero_grad()
        d_loss = 0.5 * (criterion(judge(shown), ones) + criterion(judge(fake.detach()), zeros))
        d_loss.backward()
        judging.step()
        fake = generator(noise(64, fault))
        drawing.zero_grad()
        if fault == "the forger's own turn detached":
            g_loss = criterion(judge(fake.detach()), ones)
        else:
            g_loss = criterion(judge(fake), ones)
        g_loss.backward()
        drawing.step()
        watcher.watch({"generator": g_loss, "discriminator": d_loss})
        if step % 50 == 49:
            watcher.generated(fake.detach(), shown)
    watcher.close()
    generator.train(fault == "one draw of noise for the whole batch")
    with torch.no_grad():
        drawn = torch.cat([generator(noise(64, fault)) for _ in range(16)])
    return closeness(drawn, ink("test", 1000, 14) * 2 - 1)


def closeness(drawn: Tensor, real: Tensor) -> float:
    """One less the Fréchet distance in the 20 first components, as a share of what an empty sheet has."""
    middle = real.mean(0)
    axes = torch.linalg.svd(real - middle, full_matrices=False)[2][:20].T

    def distance(rows: Tensor) -> float:
        one, two = (rows - middle) @ axes, (real - middle) @ axes
        a, b = one.T.cov().double().numpy(), two.T.cov().double().numpy()
        root = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum()
        return float((one.mean(0) - two.mean(0)).square().sum()) + float(np.trace(a) + np.trace(b) - 2 * root)

    return 1 - distance(drawn) / distance(torch.full_like(real, -1.0))
