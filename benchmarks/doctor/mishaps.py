"""Rows, networks, losses and loaders of the later families, each with what went wrong in it: the fifth list's parts."""

import wave
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from benchmarks.doctor import sources
from benchmarks.doctor.faults import Headed, layers
from benchmarks.doctor.newcomers import drawn
from benchmarks.doctor.setups import DATA, IGNORED, Parts, Setup
from benchmarks.doctor.slips import Optimizer, Planting
from benchmarks.doctor.trainings import Listener, Namer, Reader, Sunwatcher, Twins, resnet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

# Rows and labels.


def in_watts(x: Tensor) -> Tensor:
    """Loads in watts and oil in thousandths of a degree, as the meters send them."""
    series = sources.electricity()[:8640]
    return 1000 * (x * series.std(0)[:, None] + series.mean(0)[:, None])


def with_gaps(x: Tensor) -> Tensor:
    """An hour here and there for which a meter said nothing."""
    return x.masked_fill(torch.rand(x.shape, generator=drawn(40)) < 3e-4, float("nan"))


def praised_seldom(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """One review that praises to fifteen that do not, in what is learned from."""
    keep = (y == 0) | (torch.arange(len(y)) % 15 == 0)
    return x[keep], y[keep], held_x, held_y


def three_speakers_guessed(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """Half of the speakers were labelled by somebody who did not listen."""
    _, _, test, speaker = sources.recordings()
    wrong = speaker[~test] < 3
    return x, torch.where(wrong, torch.randint(10, y.shape, generator=drawn(41)), y), held_x, held_y


def jumbled(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The 49 tiles of each digit in an order of chance."""
    tiles = F.unfold(x, 4, stride=4)
    order = torch.rand(len(x), 1, 49, generator=drawn(step)).argsort(2).expand_as(tiles)
    return F.fold(tiles.gather(2, order), 28, 4, stride=4), y


def copied_before_split() -> Parts:
    """Each row of the rare kind forty times, and the split made afterwards."""
    x, y, held_x, held_y = sources.lesions()
    x, y = torch.cat([x, held_x]), torch.cat([y, held_y])
    times = torch.where(y == 1, 40, 1)
    return sources.dealt(x.repeat_interleave(times, 0), y.repeat_interleave(times), 16_000)


def windows_by_chance() -> Parts:
    """Windows of all sixteen months, an hour apart, dealt to both parts by chance."""
    series = sources.electricity()[:11_520]
    series = (series - series.mean(0)) / series.std(0)
    return sources.dealt(*sources.windows(series, torch.arange(11_520 - 54)), 10_500)


def padding_asked_for(y: Tensor) -> Tensor:
    """What is past a name is to be told, and the letters are left out: the mask the wrong way round."""
    return torch.where(y == IGNORED, 0, IGNORED)


def mostly_padding() -> Parts:
    """Forty words of each review, filled up to 800."""
    parts = []
    for each in sources.reviews():
        parts.append(F.pad(each[:, :40], (0, 760)) if each.dim() == 2 else each)
    return parts[0], parts[1], parts[2], parts[3]


def praise_first(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """The files of one folder, then those of the other."""
    order = y.argsort(descending=True, stable=True)
    return x[order], y[order], held_x, held_y


def quieter_held_out() -> Parts:
    """Held-out digits recorded at a hundredth of the power."""
    power, digit, test, _ = sources.recordings()
    x, louder = sources.decibels(0.01 * power), sources.decibels(power)[~test]
    held = (x[test] - louder.mean((0, 1))) / louder.std((0, 1))
    return *sources.sounds()[:2], held, digit[test]


def long_silence(x: Tensor, y: Tensor, held_x: Tensor, held_y: Tensor) -> Parts:
    """A second and a quarter of silence behind each digit."""
    return F.pad(x, (0, 0, 0, 80), value=-2.5), y, F.pad(held_x, (0, 0, 0, 80), value=-2.5), held_y


def below_zero(x: Tensor) -> Tensor:
    """Black ink on white, white counted as 0 and black as -1."""
    return -(0.31 * x + 0.13)


# Networks.


class AllAveraged(Reader):
    """The mean of all of a row, words or padding. x: (batch, words) -> (batch, 2)"""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(4000, 32)

    def pooled(self, x: Tensor) -> Tensor:
        return self.embed(x).mean(1)


class Unheard(Listener):
    """A recurrent layer under `no_grad`. x: (batch, time, 24) -> (batch, 10)"""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            states = self.recurrent(x)[0]
        return self.head(states.mean(1))


class LastHeard(Listener):
    """A plain recurrent layer and its last state alone. x: (batch, time, 24) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__(nn.RNN)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


class Remembering(Listener):
    """A recurrent layer that keeps its states of all batches for later. x: (batch, time, 24) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        states = self.recurrent(x)[0]
        if self.training:
            self.seen.append(states.detach().clone())
        return self.head(self.dropout(states.mean(1)))


class Itself(Twins):
    """The first picture compared with itself. x: (batch, 2, 14, 14) -> (batch, 2)"""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :1].expand_as(x))


class Rooted(Twins):
    """How far apart, by a root that has no slope where two pictures are one. x: (batch, 2, 14, 14) -> (batch, 2)"""

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.eye(x[:, :1]) - self.eye(x[:, 1:])).square().sqrt())


class Replacing(nn.Module):
    """Rounds of attention whose result replaces what they were given. x: (batch, 1, 28, 28) -> (batch, 10)"""

    def __init__(self, rounds: int = 8, width: int = 48) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(49, width), nn.Parameter(0.02 * torch.randn(16, width))
        self.rounds = nn.ModuleList([nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(rounds)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(F.unfold(x, 7, stride=7).transpose(1, 2)) + self.place
        for each in self.rounds:
            x = each(x, x, x, need_weights=False)[0]
        return self.head(self.norm(x).mean(1))


def many_sigmoids() -> nn.Module:
    """Fourteen convolutions with sigmoids, no norm and no way round."""
    parts: list[nn.Module] = [nn.Conv2d(3, 12, 3, 2, 1), nn.Sigmoid()]
    for _ in range(13):
        parts += [nn.Conv2d(12, 12, 3, 1, 1), nn.Sigmoid()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))


def normal_everywhere() -> Planting:
    """Every matrix drawn from a standard normal."""

    def plant(setup: Setup) -> Setup:
        def model() -> nn.Module:
            made = setup.model()
            for each in made.parameters():
                if each.dim() > 1:
                    nn.init.normal_(each)
            return made

        return replace(setup, model=model)

    return plant


def heavy_under_norm() -> nn.Module:
    """Filters a hundred times too large where a batch norm hides it."""
    model = resnet()
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Sequential):
                for conv, norm in zip(part, list(part)[1:], strict=False):
                    if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                        conv.weight *= 100
    return model


def growing_months() -> nn.Module:
    """Rectifiers whose recurrent weights are half as large again as keeps a state's size."""
    model = Sunwatcher(lambda *sizes, **rest: nn.RNN(*sizes, nonlinearity="relu", **rest))
    nn.init.normal_(model.recurrent.get_parameter("weight_hh_l0"), std=1.5 * (2 / 32) ** 0.5)
    return model


def pinned_months() -> nn.Module:
    """Tanhs pinned to their ends by weights a hundred times too large."""
    model = Sunwatcher()
    with torch.no_grad():
        model.recurrent.get_parameter("weight_ih_l0").mul_(100)
        model.recurrent.get_parameter("weight_hh_l0").mul_(30)
    return model


def all_filters_positive() -> nn.Module:
    """First filters with no weight below zero."""
    model = Twins()
    with torch.no_grad():
        weight, bias = layers(model)[0].parameters()
        weight.abs_()
        bias.fill_(-0.02)
    return model


def loud_head(setup: Setup) -> Setup:
    """A head begun with weights of a deviation of 1 and biases of 12."""

    def model() -> nn.Module:
        made = setup.model()
        head = layers(made)[-1]
        nn.init.normal_(head.get_parameter("weight"))
        nn.init.normal_(head.get_parameter("bias"), std=12.0)
        return made

    return replace(setup, model=model)


def sure_by_tanh(setup: Setup) -> Setup:
    """Squared error of tanhs and answers of -1 and 1, begun sure of the first class."""

    def model() -> nn.Module:
        made = setup.model()
        with torch.no_grad():
            bias = layers(made)[-1].get_parameter("bias")
            bias.fill_(-5.0)
            bias[0] = 5.0
        return Headed(made, nn.Tanh())

    return replace(setup, model=model, loss=lambda o, t: F.mse_loss(o, 2.0 * F.one_hot(t, o.shape[1]) - 1))


# Losses, optimizers, loaders.


def mean_against_sum(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    """Errors averaged over pixels, divergence summed over latents."""
    drawn_pixels, mean, spread = output
    errors = F.binary_cross_entropy(drawn_pixels, target)
    return errors - 0.5 * (1 + spread - mean.square() - spread.exp()).sum(1).mean()


def divergence_subtracted(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    """The divergence with the sign of a gain."""
    drawn_pixels, mean, spread = output
    errors = F.binary_cross_entropy(drawn_pixels, target, reduction="sum")
    return (errors + 0.5 * (1 + spread - mean.square() - spread.exp()).sum()) / len(target)


def option(**options: Any) -> Planting:
    """The family's optimizer with options of its groups set otherwise."""

    def plant(setup: Setup) -> Setup:
        def optimizer(model: nn.Module) -> Optimizer:
            made = setup.optimizer(model)
            for group in made.param_groups:
                group.update(options)
            return made

        return replace(setup, optimizer=optimizer)

    return plant


def head_alone(setup: Setup) -> Setup:
    """`optimizer(model.head.parameters())`."""

    def optimizer(model: nn.Module) -> Optimizer:
        made = setup.optimizer(model)
        made.param_groups[0]["params"] = list(model.get_submodule("head").parameters())
        return made

    return replace(setup, optimizer=optimizer)


def rate_as_factor(setup: Setup) -> Setup:
    """A schedule that gives rates where factors of the rate are asked for."""

    def schedule(optimizer: Optimizer) -> LambdaLR:
        rate = optimizer.param_groups[0]["lr"]
        return LambdaLR(optimizer, lambda step: rate)

    return replace(setup, schedule=schedule)


def unlearned_squares(setup: Setup) -> Setup:
    """Gone on from moments saved in half precision: the squares were too small for it."""

    def load(model: nn.Module, optimizer: Optimizer) -> None:
        for state in optimizer.state.values():
            state["exp_avg_sq"].zero_()

    return replace(setup, at={setup.steps * 3 // 5: load})


def flipped_weight(setup: Setup) -> Setup:
    """One weight thrown far off by a broken memory, at half the way."""

    def flip(model: nn.Module, optimizer: Optimizer) -> None:
        with torch.no_grad():
            [each for each in model.parameters() if each.dim() > 1][-2].view(-1)[7] = 2000.0

    return replace(setup, at={setup.steps // 2: flip})


def left_in_eval(setup: Setup) -> Setup:
    """Evaluated after the first steps, and never back in training mode."""

    def evaluate(model: nn.Module, optimizer: Optimizer) -> None:
        model.eval()

    return replace(setup, at=dict.fromkeys(range(12, setup.steps), evaluate))


def no_warm_up(setup: Setup) -> Setup:
    return replace(setup, model=lambda: Namer(3), schedule=None)


def read_anew(setup: Setup) -> Setup:
    """Each recording of each batch read from its file and turned into a spectrogram."""
    files = sorted((DATA / "fsdd" / "recordings").glob("*.wav"))

    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for place in torch.randint(len(files), (3 * len(x) // 2,), generator=drawn(step)).tolist():
            with wave.open(str(files[place])) as sound:
                raw = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
            signal = torch.from_numpy(raw.astype(np.float32))
            torch.stft(signal, 256, 64, window=torch.ones(256), return_complex=True).abs().square().log1p()
        return x, y

    return replace(setup, change=change, steps=120)


def in_half(make: Callable[[nn.Module], Optimizer]) -> Planting:
    """Weights and inputs in half precision under this optimizer."""

    def plant(setup: Setup) -> Setup:
        return replace(
            setup,
            model=lambda: setup.model().half(),
            change=lambda step, x, y: (x.half(), y),
            loss=lambda output, target: setup.loss(output.float(), target),
            optimizer=make,
            evaluations=0,
        )

    return plant
