"""Networks that begin from others: a borrowed trunk with a new head, a pupil of a teacher, members of a crowd."""

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf
from benchmarks.doctor.loops.planted import FAST, NOTHING, Mistake
from benchmarks.doctor.loops.reading import DATA
from benchmarks.doctor.outpatients.supervised_data import numerals, photos
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler


class Residual(nn.Module):
    """Two convolutions added to their input, which is thinned out and filled up where the shape changes."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(into, out, 3, out // into, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.more = out - into

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(found + x)


class Twenty(nn.Module):
    """The residual network of twenty layers for small photos, with the stored weights' names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Residual(16, 16), Residual(16, 16), Residual(16, 16))
        self.layer2 = nn.Sequential(Residual(16, 32), Residual(32, 32), Residual(32, 32))
        self.layer3 = nn.Sequential(Residual(32, 64), Residual(64, 64), Residual(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def beasts(part: str, count: int) -> tuple[Tensor, Tensor]:
    """Photos with the colours of the stored weights: 0 what flies or drives, 1 a cat, 2 a dog."""
    x, y = photos(part, count)
    kept = (y == 3) | (y == 5) | (y < 2)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x[kept] * 0.25 + 0.47 - mean.view(3, 1, 1)) / spread.view(3, 1, 1)
    return x.contiguous(), torch.tensor([0, 0, 0, 1, 0, 2])[y[kept]]


def new_head(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Vehicles, cats and dogs by a borrowed network with a new head, after the tutorial; score: balanced accuracy."""
    (x, y), (test, truth) = beasts("train", 1500), beasts("test", 1000)
    model_ft = Twenty()
    weights = load_file(DATA / "cifar10-resnet-weights" / "resnet20.safetensors")
    frozen = name == "the trunk held still"
    if name == "weights loaded by names that are not there":
        weights = {f"module.{key}": value for key, value in weights.items()}
    model_ft.load_state_dict(weights, strict=False)
    for param in model_ft.parameters():
        param.requires_grad = not frozen
    late = name == "the head replaced behind the optimizer's back"
    old = list(model_ft.parameters())
    model_ft.linear = nn.Linear(64, 3)
    if name == "a head begun a hundred times too wide":
        nn.init.normal_(model_ft.linear.weight, std=30.0)
    with_rate = 3.0 if name == "a rate of three" else 0.003
    wanted = list(model_ft.linear.parameters()) if frozen else list(model_ft.parameters())
    if late:
        for each in old[:-2]:
            each.requires_grad_(False)
        wanted = old
    optimizer_ft = torch.optim.SGD(wanted, lr=with_rate * (3 if frozen else 1), momentum=0.9)
    exp_lr_scheduler = lr_scheduler.StepLR(optimizer_ft, step_size=3, gamma=0.1)
    doctor = doctor_of(model_ft, optimizer_ft)
    size = 1 if name == "one photo a batch, norms and all" else 4
    for _ in range(1):
        model_ft.train()
        for rows in torch.randperm(len(x))[: 100 * size].split(size):
            optimizer_ft.zero_grad()
            loss = F.cross_entropy(model_ft(x[rows]), y[rows])
            loss.backward()
            optimizer_ft.step()
            doctor.watch(loss, x[rows], y[rows])
        exp_lr_scheduler.step()
    doctor.close()
    model_ft.eval()
    with torch.no_grad():
        right = model_ft(test).argmax(1) == truth
    return float(torch.stack([right[truth == kind].float().mean() for kind in range(3)]).mean())


class Pupil(nn.Module):
    def __init__(self, wide: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, wide), nn.ReLU(), nn.Linear(wide, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def pupil(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A small network learns a large one's chances at a temperature; score: share of right answers."""
    x, y = numerals("train", 6000)
    test, truth = numerals("test", 1000)
    teacher, student = Pupil(256), Pupil(24)
    first = torch.optim.Adam(teacher.parameters(), 2e-3)
    for _ in range(3):
        for rows in torch.randperm(6000).split(100):
            first.zero_grad()
            F.cross_entropy(teacher(x[rows]), y[rows]).backward()
            first.step()
    if name == "the whole in half precision under Adam":
        teacher, student = teacher.half(), student.half()
        x, test = x.half(), test.half()
    teacher.eval()
    student.train()
    mine = teacher if name == "the teacher's weights given to the optimizer" else student
    optimizer = torch.optim.Adam(mine.parameters(), lr=3e-3)
    heat, soft_weight = 2.0, 0.9

    def distilling(scores: Tensor, wanted: tuple[Tensor, Tensor]) -> Tensor:
        hints, labels = wanted
        found = F.log_softmax(scores / heat, -1)
        soft = (hints / heat).softmax(-1)
        if name == "bare scores where logarithms of chances belong":
            found = scores
        if name == "the two sides of the divergence exchanged":
            return F.kl_div(soft, found, reduction="batchmean")
        hard = F.cross_entropy(scores, labels)
        return soft_weight * F.kl_div(found, soft, reduction="batchmean") * heat**2 + (1 - soft_weight) * hard

    doctor = doctor_of(student, optimizer)
    for _ in range(4):
        for rows in torch.randperm(6000).split(64):
            with torch.no_grad():
                hints = teacher(x[rows])
            if name == "hints of another draw":
                hints = hints[torch.randperm(len(rows))]
            optimizer.zero_grad()
            loss = distilling(student(x[rows]), (hints, y[rows]))
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    with torch.no_grad():
        return float((student(test).argmax(1) == truth).float().mean())


class Crowd(nn.Module):
    """Small networks, each with its own weights, whose chances are averaged."""

    def __init__(self, count: int, listed: bool) -> None:
        super().__init__()
        members = [nn.Sequential(nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)) for _ in range(count)]
        self.members = nn.ModuleList(members) if listed else members
        self.gate = nn.Linear(10 * count, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(torch.cat([torch.relu(each(x.flatten(1))) for each in self.members], 1))


def stacked_crowd(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Five small networks and one that hears them, told noisy digits; score: share of right answers."""
    x, y = numerals("train", 5000)
    test, truth = numerals("test", 1000)
    x = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    crowd = Crowd(5, name != "members in a plain list")
    if name == "members' ears detached":
        for each in crowd.members:
            each.register_forward_hook(lambda _, __, found: found.detach())
    if name == "LoRA-like zeros in the last layer":
        nn.init.zeros_(crowd.gate.weight)
    for each in crowd.members if name == "biases of members far below nought" else ():
        nn.init.constant_(each[0].bias, -4.0)
        nn.init.constant_(each[2].bias, -4.0)
    momentum = 0.999 if name == "a momentum of 0.999" else 0.9
    optimizer = torch.optim.SGD(crowd.parameters(), lr=0.1, momentum=momentum)
    criterion = nn.CrossEntropyLoss()
    doctor = doctor_of(crowd, optimizer, loss=criterion)
    for _ in range(350):
        rows = torch.randint(5000, (50,))
        loss = criterion(crowd(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    with torch.no_grad():
        return float((crowd(test).argmax(1) == truth).float().mean())


PROGRAMS = (new_head, pupil, stacked_crowd)
AWKWARD = (("new_head", "the trunk held still"), ("stacked_crowd", "LoRA-like zeros in the last layer"))
MISTAKES = (
    Mistake("new_head", "the head replaced behind the optimizer's back", "disconnected-parameters", NOTHING),
    Mistake("new_head", "weights loaded by names that are not there", "training-state-lost",
            ("underfitting", "plateau"), False),
    Mistake("new_head", "a rate of three", "learning-rate-too-high", FAST),
    Mistake("new_head", "a head begun a hundred times too wide", "wrong-initial-loss",
            ("bad-initialization", "exploding-gradient", "update-ratio-off")),
    Mistake("new_head", "one photo a batch, norms and all", "batch-too-small", FAST, False),
    Mistake("pupil", "the whole in half precision under Adam", "mixed-precision-underflow", ("non-finite-values",)),
    Mistake("pupil", "the teacher's weights given to the optimizer", "disconnected-parameters", NOTHING),
    Mistake("pupil", "bare scores where logarithms of chances belong", "loss-head-mismatch",
            ("gradient-ascent",), False),
    Mistake("pupil", "the two sides of the divergence exchanged", "gradient-ascent", ("loss-head-mismatch",), False),
    Mistake("pupil", "hints of another draw", "label-noise", NOTHING, False),
    Mistake("stacked_crowd", "members in a plain list", "disconnected-parameters", ("underfitting",), False),
    Mistake("stacked_crowd", "biases of members far below nought", "dying-relu",
            ("bad-initialization", "vanishing-gradient", "cannot-fit-one-batch", "plateau")),
    Mistake("stacked_crowd", "a momentum of 0.999", "oscillating-loss", FAST),
)  # fmt: skip
