"""Two that play against each other: a DCGAN and a WGAN with a gradient penalty, and what goes wrong in them."""

import torch
from benchmarks.doctor.apprentices.composing_data import DoctorOf, likeness, small_digits
from benchmarks.doctor.loops.planted import ASCENT, NOTHING, Mistake
from torch import Tensor, nn


def weights_init(m: nn.Module) -> None:
    if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(m.weight, 0.0, 0.05)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)


def generator() -> nn.Sequential:
    """32 numbers to a picture of 14 x 14 from -1 to 1."""
    return nn.Sequential(
        nn.Linear(32, 32 * 16), nn.Unflatten(1, (32, 4, 4)), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def discriminator() -> nn.Sequential:
    """A picture to one score."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 3, 2, 1, bias=False),
        nn.BatchNorm2d(32), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(32 * 16, 1), nn.Flatten(0),
    )  # fmt: skip


def dcgan(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A DCGAN of small digits; score: 1 less the Frechet distance to real ones along thirty axes."""
    x = small_digits("train", 6000)
    net_g, net_d = generator().apply(weights_init), discriminator().apply(weights_init)
    criterion = nn.BCEWithLogitsLoss()
    swift = 200 if name == "the judge's rate two hundredfold" else 1
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3 * swift, betas=(0.5, 0.999))
    of = net_d if name == "the forger's optimizer holds the judge's weights" else net_g
    optimizer_g = torch.optim.Adam(of.parameters(), lr=2e-3, betas=(0.5, 0.999))
    doctor = doctor_of(nn.ModuleDict({"generator": net_g, "discriminator": net_d}), [optimizer_g, optimizer_d])
    high = 0.9 if name == "real ones called nine tenths" else 1.0
    spread = 0.002 if name == "noise of a five-hundredth" else 1.0
    ones, noughts = torch.full((48,), high), torch.zeros(48)
    for _ in range(360):
        real = x[torch.randint(6000, (48,))]
        noise = spread * torch.randn(48, 32)
        fake = net_g(noise)
        net_d.zero_grad()
        err_d = criterion(net_d(real), ones) + criterion(net_d(fake.detach()), noughts)
        err_d.backward()
        optimizer_d.step()
        net_g.zero_grad()
        wanted = noughts if name == "the forger rewarded for being found out" else ones
        err_g = criterion(net_d(fake), wanted)
        err_g.backward()
        optimizer_g.step()
        doctor.watch(err_d + err_g)
    doctor.close()
    net_g.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        return likeness(net_g(spread * torch.randn(1000, 32)))


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, graph: bool) -> Tensor:
    """How far the slope between real and drawn ones is from one."""
    share = torch.rand(len(real), 1)
    between = (share * real + (1 - share) * fake).requires_grad_()
    slope = torch.autograd.grad(critic(between).sum(), between, create_graph=graph)[0]
    return ((slope.norm(2, dim=1) - 1) ** 2).mean()


def wgan_gp(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A WGAN with a gradient penalty, three turns of the critic to one; score: as of the DCGAN."""
    x = small_digits("train", 6000).flatten(1)
    gen = nn.Sequential(
        nn.Linear(24, 128), nn.LeakyReLU(0.2), nn.Linear(128, 256), nn.LeakyReLU(0.2), nn.Linear(256, 196), nn.Tanh()
    )
    critic = nn.Sequential(nn.Linear(196, 256), nn.LeakyReLU(0.2), nn.Linear(256, 128), nn.LeakyReLU(0.2),
                           nn.Linear(128, 1))  # fmt: skip
    opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3, betas=(0.0, 0.9))
    rate = 1e-7 if name == "a critic that hardly learns" else 1e-3
    opt_c = torch.optim.Adam(critic.parameters(), lr=rate, betas=(0.0, 0.9))
    doctor = doctor_of(nn.ModuleList([gen, critic]), [opt_g, opt_c])
    sign = -1 if name == "the critic's score turned round" else 1
    for _ in range(300):
        for _ in range(3):
            real = x[torch.randint(6000, (64,))]
            with torch.no_grad():
                fake = gen(torch.randn(64, 24))
            penalty = gradient_penalty(critic, real, fake, True)
            loss_c = sign * (critic(fake).mean() - critic(real).mean()) + 10 * penalty
            opt_c.zero_grad()
            loss_c.backward()
            opt_c.step()
        noise = torch.randn(64, 24)
        loss_g = -critic(gen(noise)).mean()
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        doctor.watch(loss_g)
    doctor.close()
    torch.manual_seed(1)
    with torch.no_grad():
        return likeness(gen(torch.randn(1000, 24)))


PROGRAMS = (dcgan, wgan_gp)
AWKWARD = (("dcgan", "real ones called nine tenths"),)
MISTAKES = (
    Mistake("dcgan", "the forger's optimizer holds the judge's weights", "disconnected-parameters",
            ("one-player-wins", *NOTHING)),
    Mistake("dcgan", "the judge's rate two hundredfold", "one-player-wins",
            ("learning-rate-too-high", "mode-collapse", "exploding-gradient", "update-ratio-off")),
    Mistake("dcgan", "noise of a five-hundredth", "mode-collapse", (), False),
    Mistake("dcgan", "the forger rewarded for being found out", "one-player-wins",
            ("gradient-ascent", "loss-head-mismatch", "mode-collapse"), False),
    Mistake("wgan_gp", "the critic's score turned round", "gradient-ascent", ("one-player-wins", *ASCENT), False),
    Mistake("wgan_gp", "a critic that hardly learns", "one-player-wins",
            ("learning-rate-too-low", "update-ratio-off", "mode-collapse")),
)  # fmt: skip
