"""Photos of ten kinds: the sixty-minute tutorial, blocks of a book, one cycle."""

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf
from benchmarks.doctor.loops.planted import FAST, SLOW, STEEP, TIRED, Mistake
from benchmarks.doctor.outpatients.supervised_data import photos
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class SixtyMinutes(nn.Module):
    """Two convolutions with pooling, three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.view(-1, 400))))))


def sixty_minutes(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Three kinds of photos as the tutorial for beginners trains them; score: share of right answers."""
    x, y = photos("train", 6000)
    test, truth = photos("test", 4000)
    few, held = y % 4 == 0, truth % 4 == 0
    x, y, test, truth = x[few].contiguous(), y[few] // 4, test[held].contiguous(), truth[held] // 4
    if name == "channels last, viewed as channels first":
        x = x.permute(0, 2, 3, 1).contiguous().view(-1, 3, 32, 32)
    trainloader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    net = SixtyMinutes()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    doctor = doctor_of(net, optimizer)
    running_loss, step = 0.0, 0
    kept: list[Tensor] = []
    for epoch in range(4):
        for inputs, labels in trainloader:
            if name != "gradients cleared once an epoch" or step % len(trainloader) == 0:
                optimizer.zero_grad()
            outputs = net(inputs)
            if name == "what the first convolution gave, kept for a picture":
                kept.append(F.relu(net.conv1(inputs)))
            loss = criterion(outputs, labels)
            loss.backward()
            if name == "noise added to gradients":
                for each in net.parameters():
                    each.grad.add_(torch.randn_like(each), alpha=0.01 / (1 + step) ** 0.55)
            optimizer.step()
            running_loss += loss.item()
            step += 1
            doctor.watch(loss, inputs, labels)
            if name == "two hundred photos judged after each batch from the third epoch on" and epoch > 1:
                with torch.no_grad():
                    net(x[:200])
        if name == "begun anew from the first weights each epoch" and epoch < 3:
            torch.manual_seed(seed)
            net.load_state_dict(SixtyMinutes().state_dict())
    doctor.close()
    with torch.no_grad():
        return float((net(test).argmax(1) == truth).float().mean())


def blocks(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Three kinds of photos by blocks of convolutions without norms; score: share of right answers."""
    x, y = photos("train", 6000)
    test, truth = photos("test", 4000)
    few, held = y % 4 == 0, truth % 4 == 0
    x, y, test, truth = x[few], y[few] // 4, test[held], truth[held] // 4
    layers: list[nn.Module] = []
    into = 3
    for count, out in ((1, 8), (1, 16), (2, 24)):
        for _ in range(count):
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU()]
            into = out
        layers.append(nn.MaxPool2d(2))
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(384, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if name == "weights a thousandth of a normal":
                nn.init.normal_(layer.weight, std=0.001)
            if name == "biases at minus two":
                nn.init.constant_(layer.bias, -2.0)
    rate = {"a rate a hundred times as high": 0.3, "steps of six in one schedule's middle": 3e-3}.get(name, 3e-3)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    warm = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 60)
    doctor = doctor_of(net, optimizer, loss=F.cross_entropy, held_out=[(test[:200], truth[:200])])
    net.train()
    for step in range(360):
        rows = torch.randint(len(x), (24,))
        loss = F.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        if name == "steps of six in one schedule's middle" and step == 270:
            for group in optimizer.param_groups:
                group["lr"] = 0.6
        optimizer.step()
        if name == "a cosine that begins again":
            warm.step()
        doctor.watch(loss, x[rows], y[rows])
        if name == "steps of six in one schedule's middle" and step == 270:
            for group in optimizer.param_groups:
                group["lr"] = rate
    doctor.close()
    net.eval()
    with torch.no_grad():
        return float((net(test).argmax(1) == truth).float().mean())


def conv(into: int, out: int, pool: bool = False) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*parts, nn.MaxPool2d(2)) if pool else nn.Sequential(*parts)


class NineLayers(nn.Module):
    """Convolutions with norms and two blocks that are added to what they read."""

    def __init__(self, wide: int = 6) -> None:
        super().__init__()
        self.first, self.second = conv(3, wide), conv(wide, 2 * wide, True)
        self.res1 = nn.Sequential(conv(2 * wide, 2 * wide), conv(2 * wide, 2 * wide))
        self.third, self.fourth = conv(2 * wide, 4 * wide, True), conv(4 * wide, 4 * wide, True)
        self.res2 = nn.Sequential(conv(4 * wide, 4 * wide), conv(4 * wide, 4 * wide))
        self.classifier = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.1))
        self.classifier.append(nn.Linear(4 * wide, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        x = self.fourth(self.third(self.res1(x) + x))
        return self.classifier(self.res2(x) + x)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])


def nine_layers(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Ten kinds of photos in one cycle of the rate, gradients clipped by value; score: share of right answers."""
    x, y = photos("train", 4000)
    test, truth = photos("test", 1000)
    x, test = (each[:, :, 4:28, 4:28].contiguous() for each in (x, test))
    if name == "rows sorted by their folder":
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
    ordered = name == "rows sorted by their folder"
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=not ordered, drop_last=True)
    model, epochs = NineLayers(), 2
    decay = 1.0 if name == "a decay of one that Adam takes for a gradient" else 1e-4
    optimizer = torch.optim.Adam(model.parameters(), 0.006, weight_decay=decay)
    total = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, total_steps=total)
    doctor = doctor_of(model, optimizer)
    for _ in range(epochs):
        model.train()
        if name == "eval mode from the check before training":
            model.eval()
        for batch in loader:
            if name == "edges cut and mirrored":
                batch = [torch.where(torch.rand(32, 1, 1, 1) < 0.5, batch[0], batch[0].flip(3)), batch[1]]
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "autocast to bfloat16"):
                loss = model.training_step(batch)
            loss.backward()
            clip = 1e-9 if name == "clipped at a billionth, under the smallest number of Adam" else 0.1
            nn.utils.clip_grad_value_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            doctor.watch(loss, *batch)
    doctor.close()
    model.train(name == "judged one kind after another in training mode")
    with torch.no_grad():
        order = truth.argsort() if model.training else torch.arange(1000)
        found = torch.cat([model(test[rows]).argmax(1) for rows in order.split(50)])
        return float((found == truth[order]).float().mean())


PROGRAMS = (sixty_minutes, blocks, nine_layers)
AWKWARD = (
    ("sixty_minutes", "noise added to gradients"), ("blocks", "a cosine that begins again"),
    ("nine_layers", "autocast to bfloat16"), ("nine_layers", "edges cut and mirrored"),
)  # fmt: skip
MISTAKES = (
    Mistake("sixty_minutes", "channels last, viewed as channels first", "preprocessing-mismatch",
            (), False),
    Mistake("sixty_minutes", "gradients cleared once an epoch", "missing-zero-grad"),
    Mistake("sixty_minutes", "what the first convolution gave, kept for a picture", "memory-leak", (),
            False, "symptom"),
    Mistake("sixty_minutes", "two hundred photos judged after each batch from the third epoch on", "step-time-cliff",
            (), False, "symptom"),
    Mistake("sixty_minutes", "begun anew from the first weights each epoch", "training-state-lost", ("loss-spike",),
            False),
    Mistake("blocks", "weights a thousandth of a normal", "bad-initialization", (*STEEP, "wrong-initial-loss")),
    Mistake("blocks", "biases at minus two", "dying-relu", (*STEEP,)),
    Mistake("blocks", "a rate a hundred times as high", "learning-rate-too-high", (*FAST, "dying-relu", "plateau")),
    Mistake("blocks", "steps of six in one schedule's middle", "loss-spike", (*FAST, "dying-relu", "plateau")),
    Mistake("nine_layers", "rows sorted by their folder", "data-not-shuffled"),
    Mistake("nine_layers", "a decay of one that Adam takes for a gradient", "over-regularized", TIRED),
    Mistake("nine_layers", "eval mode from the check before training", "wrong-train-eval-mode", FAST),
    Mistake("nine_layers", "clipped at a billionth, under the smallest number of Adam", "plateau", SLOW),
    Mistake("nine_layers", "judged one kind after another in training mode", "wrong-train-eval-mode",
            ("preprocessing-mismatch",)),
)  # fmt: skip
