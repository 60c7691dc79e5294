"""Pictures rebuilt, cleaned, cut into patches and told apart: autoencoders, a ViT, SimCLR, and what goes wrong."""

from functools import cache

import torch
from benchmarks.doctor.apprentices.composing_data import TURNED, DoctorOf, chance, digits
from benchmarks.doctor.loops.planted import STEEP, Mistake
from benchmarks.doctor.loops.reading import characters
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def squeezed(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A tutorial's autoencoder of 784-128-32-128-784; score: share of the variance explained in new pictures."""
    x, far = digits("train", 5000)[0].flatten(1), digits("test", 1000)[0].flatten(1)
    if name == "pictures from -1 to 1, a sigmoid at the end":
        x, far = x * 2 - 1, far * 2 - 1
    code = {"one number in the middle": 1, "a wide code, rectified": 128}.get(name, 32)
    encoder = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, code))
    if name == "a wide code, rectified":
        encoder.append(nn.ReLU())
    if name == "a rectified code begun far below nought":
        encoder.append(nn.ReLU())
        nn.init.constant_(encoder[2].bias, -9.0)
    if name == "ten more layers of sigmoids":
        for _ in range(10):
            encoder.extend(nn.Sequential(nn.Linear(code, code), nn.Sigmoid()))
    decoder = nn.Sequential(nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid())
    model = nn.Sequential(encoder, decoder)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-6)
    doctor = doctor_of(model, optimizer, criterion)
    for step in range(400):
        img = x[torch.randint(5000, (64,))]
        output = model(img)
        loss = criterion(output, img)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 80 == 79:
            with torch.no_grad():
                doctor.watch(loss, img, img)
                doctor.evaluated(loss=criterion(model(far), far).item())
        else:
            doctor.watch(loss, img, img)
    doctor.close()
    model.eval()
    with torch.no_grad():
        return 1 - float((model(far) - far).square().mean() / (far - x.mean(0)).square().mean())


class Denoiser(nn.Module):
    """Down by two convolutions and up by two, each with a norm."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 12, 3, 2, 1), nn.BatchNorm2d(12, momentum=momentum), nn.ReLU(),
            nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24, momentum=momentum), nn.ReLU(),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.ConvTranspose2d(24, 12, 2, 2), nn.BatchNorm2d(12, momentum=momentum), nn.ReLU(),
            nn.ConvTranspose2d(12, 1, 2, 2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


def cleaned(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A convolutional denoising autoencoder with DataLoaders; score: share of the variance explained of clean ones."""
    clean, far = digits("train", 3200)[0], digits("test", 600)[0]
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=chance())
    rough = far + 0.5 * torch.randn(far.shape, generator=chance(16))
    model = Denoiser(0.001 if name == "momentum of the norms as another library counts it" else 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.2e-2)
    epochs = 3
    together = DataLoader(TensorDataset(noisy, clean), batch_size=32, shuffle=True)
    one, two = (DataLoader(each, batch_size=32, shuffle=True) for each in (noisy, clean))
    kind = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-2, total_steps=epochs * len(together))
    doctor = doctor_of(model, optimizer, nn.MSELoss())
    for _ in range(epochs):
        model.train()
        for x, y in zip(one, two, strict=True) if name == "noisy and clean pictures each from its loader" else together:
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if name == "one cycle":
                kind.step()
            doctor.watch(loss, x, y)
    doctor.close()
    model.eval()
    with torch.no_grad():
        return 1 - float((model(rough) - far).square().mean() / (far - clean.mean(0)).square().mean())


class ViT(nn.Module):
    """Patches of seven by seven and a token of the class through two layers."""

    def __init__(self, rows_first: bool, dropout: float) -> None:
        super().__init__()
        self.patch = nn.Linear(49, 64)
        self.cls_token, self.pos = nn.Parameter(torch.zeros(1, 1, 64)), nn.Parameter(torch.randn(1, 17, 64) * 0.1)
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout, "gelu", batch_first=rows_first, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 4, 7, 4, 7).permute(0, 1, 3, 2, 4).reshape(-1, 16, 49)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), self.patch(x)), 1) + self.pos
        return self.head(self.blocks(x)[:, 0])


def patches(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A small ViT on digits; score: accuracy."""
    (x, y), (far, right) = digits("train", 6000), digits("test", 800)
    x, far = (x - 0.1307) / 0.3081, (far - 0.1307) / 0.3081
    model = ViT(name != "rows and patches exchanged in attention", 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2.5e-3, weight_decay=0.05)
    if name == "class after class":
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
    steps = 300
    doctor = doctor_of(model, optimizer, loss=F.cross_entropy, held_out=[(far, right)])
    for step in range(steps):
        at = torch.randint(6000, (40,))
        if name == "class after class":
            at = torch.arange(step * 20, step * 20 + 40) % 6000
        picture, label = x[at], y[at]
        if name == "turned by quarters and mirrored":
            picture = torch.rot90(picture, int(torch.randint(4, ())), (2, 3))
            picture = picture.flip(3) if torch.rand(()) < 0.5 else picture
        if name == "two pictures mixed":
            share, other = float(torch.rand(()) * 0.4), torch.randperm(40)
            picture, one = (1 - share) * picture + share * picture[other], F.one_hot(label, 10).float()
            label = (1 - share) * one + share * one[other]
        loss = F.cross_entropy(model(picture), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, picture, label)
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(far).argmax(1) == right).float().mean())


def view(x: Tensor) -> Tensor:
    """Each picture moved by up to three points and with a square rubbed out."""
    big = F.pad(x, (3, 3, 3, 3))
    i, j = torch.randint(7, (2, len(x)))
    rows, columns = i[:, None] + torch.arange(28), j[:, None] + torch.arange(28)
    x = big[torch.arange(len(x))[:, None, None], 0, rows[:, :, None], columns[:, None]].clone()
    a, b = torch.randint(20, (2,)).tolist()
    x[:, a : a + 8, b : b + 8] = 0
    return x[:, None]


@cache
def drawn_characters() -> tuple[Tensor, Tensor, Tensor]:
    x, kind, who = characters()
    return torch.tensor(x)[:, None], torch.tensor(kind), torch.tensor(who) > 15


def nt_xent(z: Tensor, partner: Tensor, temperature: float = 0.2) -> Tensor:
    """How hard it is to tell a picture's other view among all of the batch."""
    z = F.normalize(z, dim=1)
    return F.cross_entropy((z @ z.T / temperature).fill_diagonal_(-1e9), partner)


def two_views(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """SimCLR on characters; score: how often the nearest drawing by somebody else is of the same character."""
    x, kind, held = drawn_characters()
    pool = x[~held]
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32),
        nn.ReLU(), nn.Flatten(), nn.Linear(32 * 49, 64),
    )  # fmt: skip
    projector = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))
    model = nn.Sequential(encoder, projector)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    n = 2 if name == "two pictures a batch" else 48
    doctor = doctor_of(model, optimizer)
    for _ in range(240):
        batch = pool[torch.randint(len(pool), (n,))]
        both = torch.cat((view(batch), view(batch)))
        partner = torch.arange(2 * n).roll(n)
        if name == "views one behind another, partners looked for beside":
            partner = torch.arange(2 * n) ^ 1
        z = model(both)
        if name == "nothing but partners":
            loss = (F.normalize(z[:n], dim=1) - F.normalize(z[n:], dim=1)).square().sum(1).mean()
        else:
            loss = nt_xent(z, partner)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        doctor.watch(loss, both)
    doctor.close()
    model.eval()
    with torch.no_grad():
        known, new = F.normalize(encoder(pool), dim=1), F.normalize(encoder(x[held]), dim=1)
    return float((kind[~held][(new @ known.T).argmax(1)] == kind[held]).float().mean())


PROGRAMS = (squeezed, cleaned, patches, two_views)
AWKWARD = (("squeezed", "a wide code, rectified"), ("cleaned", "one cycle"), ("patches", "two pictures mixed"))
MISTAKES = (
    Mistake("squeezed", "pictures from -1 to 1, a sigmoid at the end", "loss-head-mismatch",
            ("targets-out-of-range", "saturated-activations"), False),
    Mistake("squeezed", "one number in the middle", "underfitting", ("plateau", "cannot-fit-one-batch"), False),
    Mistake("squeezed", "a rectified code begun far below nought", "dying-relu", STEEP),
    Mistake("squeezed", "ten more layers of sigmoids", "vanishing-gradient", STEEP),
    Mistake("cleaned", "momentum of the norms as another library counts it", "wrong-train-eval-mode",
            ("preprocessing-mismatch", "overfitting")),
    Mistake("cleaned", "noisy and clean pictures each from its loader", "label-noise", (*TURNED, "overfitting"), False),
    Mistake("patches", "rows and patches exchanged in attention", "cross-sample-leak", (), False),
    Mistake("patches", "class after class", "data-not-shuffled", ("oscillating-loss",)),
    Mistake("patches", "turned by quarters and mirrored", "label-breaking-augmentation", ("preprocessing-mismatch",),
            False),
    Mistake("two_views", "two pictures a batch", "batch-too-small",
            ("learning-rate-too-high", "oscillating-loss"), False),
    Mistake("two_views", "views one behind another, partners looked for beside", "label-noise",
            (*TURNED, "cross-sample-leak"), False),
    Mistake("two_views", "nothing but partners", "representation-collapse", ("loss-head-mismatch",), False),
)  # fmt: skip
