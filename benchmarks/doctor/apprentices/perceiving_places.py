"""Where things are in pictures: streets pixel by pixel, and the one white cell of a blood smear by its box."""

import torch
from benchmarks.doctor.apprentices.perceiving_data import DoctorOf, smears
from benchmarks.doctor.loops.planted import NOTHING, SLOW, TIRED, Mistake
from benchmarks.doctor.loops.reading import streets
from torch import Tensor, nn
from torch.nn import functional as F


def double(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
    )  # fmt: skip


class Bridged(nn.Module):
    """Down twice, up twice, with what was seen on the way down put beside."""

    def __init__(self, wide: int, classes: int) -> None:
        super().__init__()
        self.inc, self.down1, self.down2 = double(3, wide), double(wide, 2 * wide), double(2 * wide, 4 * wide)
        self.up1, self.up2 = double(6 * wide, 2 * wide), double(3 * wide, wide)
        self.outc = nn.Conv2d(wide, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(F.max_pool2d(x1, 2))
        x3 = self.down2(F.max_pool2d(x2, 2))
        x = self.up1(torch.cat((x2, F.interpolate(x3, scale_factor=2)), 1))
        return self.outc(self.up2(torch.cat((x1, F.interpolate(x, scale_factor=2)), 1)))


def street_masks(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Streets by a bridged network and two losses; score: share of named pixels that are right."""
    photos, masks = (torch.tensor(each) for each in streets("train", (48, 36)))
    x = photos.permute(0, 3, 1, 2).float().contiguous() / 255 - 0.4
    x, test, masks, truth = x[:300], x[300:], masks[:300].long(), masks[300:].long()
    void = 1 if name == "buildings' number taken for what is left out" else 11
    net = Bridged(6, 12)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
    fading = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 180)
    criterion = nn.CrossEntropyLoss(ignore_index=void)
    doctor = doctor_of(net, optimizer, loss=criterion, held_out=[(test[:16], truth[:16])])
    net.train()
    for _ in range(180):
        rows = torch.randint(len(x), (6,))
        images, true_masks = x[rows], masks[rows]
        if name == "photos moved about at random, masks not":
            images = torch.stack([each.roll(tuple(torch.randint(48, (2,)).tolist()), (1, 2)) for each in images])
        if name == "photos mirrored with their masks":
            flip = torch.rand(len(rows)) < 0.5
            images = torch.where(flip[:, None, None, None], images.flip(3), images)
            true_masks = torch.where(flip[:, None, None], true_masks.flip(2), true_masks)
        masks_pred = net(images)
        if name == "pixels and classes laid out anew":
            scores = masks_pred.reshape(-1, 12)
            loss = criterion(scores, true_masks.reshape(-1))
        else:
            loss = criterion(masks_pred, true_masks)
        if name == "the overlap itself added for a loss":
            chance = masks_pred.softmax(1)[:, :11]
            wanted = F.one_hot(true_masks, 12).movedim(3, 1)[:, :11].float()
            loss = loss + 5 * (2 * (chance * wanted).sum() / (chance.sum() + wanted.sum()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        fading.step()
        doctor.watch(loss, images, true_masks)
    doctor.close()
    net.eval()
    with torch.no_grad():
        found = net(test).argmax(1)[truth != 11]
    return float((found == truth[truth != 11]).float().mean())


class BoxFinder(nn.Module):
    """Convolutions with strides, a layer, four numbers."""

    def __init__(self, squeeze: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 32, 3, 2, 1),
            nn.ReLU(), nn.Flatten(), nn.Linear(1536, 64), nn.ReLU(),
        )  # fmt: skip
        self.drop, self.head, self.squeeze = nn.Dropout(0.0), nn.Linear(64, 4), squeeze

    def forward(self, x: Tensor) -> Tensor:
        found = self.head(self.drop(self.body(x)))
        return torch.sigmoid(found) if self.squeeze else found


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    low, high = torch.maximum(found[:, :2], truth[:, :2]), torch.minimum(found[:, 2:], truth[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    sizes = [(each[:, 2:] - each[:, :2]).clamp(min=0).prod(1) for each in (found, truth)]
    return both / (sizes[0] + sizes[1] - both).clamp(min=1e-6)


def one_box(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """The box of a white cell by four sigmoids, after a blog on boxes; score: mean overlap with the true box."""
    x, boxes = smears()
    x = (x - 0.6) * 4
    test = slice(260, None)
    answers = boxes.clone()
    if name == "boxes in pixels, found as shares":
        answers = boxes * torch.tensor([64.0, 48.0, 64.0, 48.0])
    if name == "width and height taught, corners judged":
        answers = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
    detector = BoxFinder(True)
    if name == "weights of the first layer at nought":
        nn.init.zeros_(detector.body[0].weight)
        nn.init.constant_(detector.body[0].bias, -1.0)
    if name == "nine tenths dropped before the head":
        detector.drop.p = 0.95
    if name == "outputs begun at a corner":
        nn.init.constant_(detector.head.bias, -12.0)
    opt = torch.optim.Adam(detector.parameters(), lr=2e-3)
    smooth = nn.SmoothL1Loss(beta=0.1)
    doctor = doctor_of(detector, opt)
    known = torch.arange(260 if name != "twenty smears" else 20)
    for _ in range(250):
        rows = known[torch.randperm(len(known))[:20]]
        images, targets = x[rows], answers[rows]
        flip = torch.rand(len(rows)) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        if name != "smears mirrored, boxes not" and name != "width and height taught, corners judged":
            wide = 64.0 if name == "boxes in pixels, found as shares" else 1.0
            mirrored = torch.stack((wide - targets[:, 2], targets[:, 1], wide - targets[:, 0], targets[:, 3]), 1)
            targets = torch.where(flip[:, None], mirrored, targets)
        elif name == "width and height taught, corners judged":
            images = x[rows]
        loss = smooth(detector(images), targets)
        opt.zero_grad()
        loss.backward()
        opt.step()
        doctor.watch(loss, images, targets)
    doctor.close()
    detector.eval()
    with torch.no_grad():
        found = detector(x[test])
    if name == "boxes in pixels, found as shares":
        found = found / torch.tensor([64.0, 48.0, 64.0, 48.0])
    return float(overlap(found, boxes[test]).mean())


PROGRAMS = (street_masks, one_box)
AWKWARD = (("street_masks", "photos mirrored with their masks"),)
MISTAKES = (
    Mistake("street_masks", "buildings' number taken for what is left out", "targets-out-of-range",
            ("padding-or-mask-fault", "class-imbalance"), False),
    Mistake("street_masks", "photos moved about at random, masks not", "label-breaking-augmentation",
            ("label-noise", "preprocessing-mismatch"), False),
    Mistake("street_masks", "pixels and classes laid out anew", "cross-sample-leak",
            ("label-noise", "loss-head-mismatch", *NOTHING), False),
    Mistake("street_masks", "the overlap itself added for a loss", "gradient-ascent", ("loss-head-mismatch",), False),
    Mistake("one_box", "boxes in pixels, found as shares", "targets-out-of-range",
            ("loss-head-mismatch", "saturated-activations"), False),
    Mistake("one_box", "width and height taught, corners judged", "preprocessing-mismatch", (), False),
    Mistake("one_box", "smears mirrored, boxes not", "label-breaking-augmentation",
            ("label-noise", "preprocessing-mismatch"), False),
    Mistake("one_box", "weights of the first layer at nought", "dying-relu",
            ("bad-initialization", "vanishing-gradient", *NOTHING)),
    Mistake("one_box", "nine tenths dropped before the head", "over-regularized", TIRED),
    Mistake("one_box", "outputs begun at a corner", "wrong-initial-loss",
            ("saturated-activations", "vanishing-gradient", "bad-initialization", "learning-slowdown", *SLOW)),
    Mistake("one_box", "twenty smears", "overfitting", (), False),
)  # fmt: skip
