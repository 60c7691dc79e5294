"""Ailments of adversaries, autoencoders, recurrent networks and transformers, and of machine and loop."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor, families, players, system
from trainwell.doctor.gauges import kept as kept_tensors
from trainwell.doctor.series import Record


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def ring(rows: int, generator: torch.Generator) -> torch.Tensor:
    """Eight clusters on a circle: (rows, 2)."""
    angle = torch.randint(0, 8, (rows,), generator=generator) * (2 * torch.pi / 8)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(rows, 2, generator=generator)


def adversaries(rates: tuple[float, float], steps: int = 400, blind: bool = False) -> Doctor:
    """A small GAN on the ring; blind: the generator hears nothing of its noise."""
    torch.manual_seed(0)
    generator, discriminator = mlp(8, 64, 64, 2), mlp(2, 64, 64, 1)
    optimizers = {
        "discriminator": Adam(discriminator.parameters(), rates[0], betas=(0.5, 0.9)),
        "generator": Adam(generator.parameters(), rates[1], betas=(0.5, 0.9)),
    }
    doctor = Doctor(nn.ModuleDict({"generator": generator, "discriminator": discriminator}), optimizers, steps=steps)
    chance = torch.Generator().manual_seed(1)
    for step in range(steps):
        real = ring(64, chance)
        noise = torch.randn(64, 8, generator=chance)
        fake = generator(noise * (0.0 if blind else 1.0))
        ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
        loss_d = F.binary_cross_entropy_with_logits(discriminator(real), ones)
        loss_d = loss_d + F.binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
        optimizers["discriminator"].zero_grad()
        loss_d.backward()
        optimizers["discriminator"].step()
        loss_g = F.binary_cross_entropy_with_logits(discriminator(fake), ones)
        optimizers["generator"].zero_grad()
        loss_g.backward()
        optimizers["generator"].step()
        doctor.watch({"discriminator": loss_d, "generator": loss_g}, noise, real)
        if step % 50 == 49:
            doctor.generated(fake, real)
    doctor.close()
    return doctor


def test_mode_collapse():
    assert named(adversaries((1e-3, 1e-3), blind=True))[:1] == ["mode-collapse"]


def test_one_picture_a_class_is_a_collapse_though_classes_differ():
    torch.manual_seed(0)
    real, classes = torch.randn(200, 8), torch.arange(200) % 4
    real += 20 * torch.eye(4, 8)[classes]
    once = real[:4][classes] + 0.01 * torch.randn(200, 8)
    assert players.sample_spread(once, real) > 0.8
    assert players.sample_spread(once, real, classes) < 0.1
    assert players.sample_spread(real.flip(0), real, classes.flip(0)) == pytest.approx(1, abs=0.1)


def test_one_player_wins():
    assert "one-player-wins" in named(adversaries((5e-3, 1e-6)))


def test_healthy_adversaries():
    assert named(adversaries((1e-3, 1e-3))) == []


def autoencoder(weight: float) -> Doctor:
    """A variational autoencoder on digits; weight: of the divergence."""
    torch.manual_seed(0)
    x, _, _, _ = digits()
    encoder, decoder = mlp(64, 64, 16), mlp(8, 64, 64)
    model = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    optimizer = Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, steps=300)
    for step in range(300):
        rows = x[(step * 64) % 1300 :][:64]
        mean, spread = encoder(rows).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        kl = 0.5 * (mean.square() + spread.exp() - spread - 1).sum(1).mean()
        loss = F.mse_loss(decoder(code), rows, reduction="sum") / len(rows) + weight * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows, rows, kl=kl)
    doctor.close()
    return doctor


def test_posterior_collapse():
    assert named(autoencoder(100.0))[:1] == ["posterior-collapse"]
    assert named(autoencoder(1.0)) == []


class Drawing(nn.Module):
    """What an autoencoder draws, and its code's means and logarithms of variances. x: (batch, 64) -> three of them"""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(64, 64, 16), mlp(8, 64, 64)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, spread = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + torch.randn_like(mean) * (0.5 * spread).exp()), mean, spread


def bound(output: tuple[torch.Tensor, ...], target: torch.Tensor, reduction: str) -> torch.Tensor:
    """Errors by this reduction, and the divergence summed over codes and averaged over rows."""
    drawn, mean, spread = output
    errors = F.mse_loss(drawn, target, reduction=reduction) / (len(target) if reduction == "sum" else 1)
    return errors + 0.5 * (mean.square() + spread.exp() - spread - 1).sum(1).mean()


@pytest.mark.parametrize(("reduction", "expected"), [("mean", ["posterior-collapse"]), ("sum", [])])
def test_posterior_collapse_is_seen_in_what_the_network_answers(reduction, expected):
    torch.manual_seed(0)
    x, _, _, _ = digits()
    model = Drawing()
    optimizer = Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, lambda output, target: bound(output, target, reduction), steps=300)
    for step in range(300):
        rows = x[(step * 64) % 1300 :][:64]
        loss = bound(model(rows), rows, reduction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, rows, rows)
    doctor.close()
    assert named(doctor)[:1] == expected


class Reader(nn.Module):
    """The class of a sequence from the last output of a recurrent layer.

    x: (batch, time, 2) -> (batch, 2)
    """

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrent, self.head = kind(2, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


def sequences(length: int, where: int):
    """Noise with a mark whose sign is the answer at one place."""

    def make():
        generator = torch.Generator().manual_seed(0)
        x = 0.3 * torch.randn(1600, length, 2, generator=generator)
        y = torch.randint(0, 2, (1600,), generator=generator)
        x[:, where, 1] = 2.0 * y - 1
        return x[:1400], y[:1400], x[1400:], y[1400:]

    return make


def test_no_long_range_signal():
    far = Loop(lambda: Reader(nn.RNN), lambda m: Adam(m.parameters(), 1e-3), data=sequences(48, 0), steps=200)
    assert named(far.run()[0])[:1] == ["no-long-range-signal"]
    assert named(replace(far, data=sequences(48, 46)).run()[0]) == []


class Attends(nn.Module):
    """The class of a row of tokens by one round of attention, queries and keys scaled.

    tokens: (batch, time) -> (batch, 2)
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(20, 32), nn.Linear(32, 96), nn.Linear(32, 2)
        self.scale = scale

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key, value = self.mix(self.embed(tokens)).chunk(3, -1)
        query, key, value = (each.view(*tokens.shape, 4, 8).transpose(1, 2) for each in (query, key, value))
        mixed = F.scaled_dot_product_attention(query * self.scale, key, value).transpose(1, 2).flatten(2)
        return self.head(mixed.mean(1))


def tokens():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 20, (1600, 16), generator=generator)
    y = (x > 9).float().mean(1).gt(0.5).long()
    return x[:1400], y[:1400], x[1400:], y[1400:]


def test_transformer_instability():
    loop = Loop(lambda: Attends(400.0), lambda m: Adam(m.parameters(), 1e-3), data=tokens)
    assert named(loop.run()[0])[:1] == ["transformer-instability"]
    assert named(replace(loop, model=lambda: Attends(1.0)).run()[0]) == []


def padded():
    x, y, held_x, held_y = tokens()
    x = torch.cat([x[:, :6], torch.zeros(len(x), 30, dtype=torch.long)], 1)
    return x, y, torch.cat([held_x[:, :6], torch.zeros(len(held_x), 30, dtype=torch.long)], 1), held_y


def test_padding():
    loop = Loop(lambda: Attends(1.0), lambda m: Adam(m.parameters(), 1e-3), data=padded, steps=60)
    assert "padding-or-mask-fault" in named(loop.run()[0])
    assert named(replace(loop, data=tokens).run()[0]) == []


class Collapsing(nn.Module):
    """Two views of a row drawn together with nothing to keep rows apart.

    x: (batch, 64) -> (batch, 16)
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(64, 64, 16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def test_representation_collapse():
    def closeness(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 1 - F.cosine_similarity(output, output.roll(1, 0).detach()).mean()

    loop = Loop(Collapsing, lambda m: Adam(m.parameters(), 3e-3), loss=closeness, steps=300)
    assert "representation-collapse" in named(loop.run(held_out=None)[0])


healthy = Loop()


def test_over_regularized():
    strong = replace(healthy, optimizer=lambda m: SGD(m.parameters(), 0.1, weight_decay=0.3))
    assert named(strong.run()[0])[:1] == ["over-regularized"]
    mild = replace(healthy, optimizer=lambda m: AdamW(m.parameters(), 1e-3, weight_decay=0.05))
    assert named(mild.run()[0]) == []


def test_batch_too_small():
    loop = replace(healthy, model=faults.normed, batch=4)
    assert named(loop.run()[0])[:1] == ["batch-too-small"]


def test_underfitting():
    # At a lower rate it is the rate that holds a network of two units back in 300 steps, as ten times the rate shows.
    loop = replace(healthy, model=lambda: mlp(64, 2, 10), optimizer=lambda m: Adam(m.parameters(), 2e-2), steps=300)
    assert "underfitting" in named(loop.run()[0])
    assert named(replace(healthy, steps=300).run()[0]) == []


def test_oscillating_loss():
    class Valley(nn.Module):
        """x: (batch, 8) -> (batch, 1)"""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    def steep():
        x, y, held_x, held_y = faults.regression()()
        return x * torch.tensor([4.0, 1, 1, 1, 1, 1, 1, 1]), y, held_x, held_y

    loop = Loop(Valley, lambda m: SGD(m.parameters(), 0.05), F.mse_loss, steep, steps=150)
    assert {"oscillating-loss", "learning-rate-too-high"} & set(named(loop.run()[0]))
    assert named(replace(loop, optimizer=lambda m: SGD(m.parameters(), 0.01)).run()[0]) == []


def test_loss_spike():
    def shock(step, x, y):
        return (x * 100 if 120 <= step < 124 else x), y

    rates = {"optimizer": lambda m: SGD(m.parameters(), 0.05)}
    doctor, _, _ = Loop(steps=200, change=shock, **rates).run()
    assert {"loss-spike", "learning-rate-too-high", "exploding-gradient"} & set(named(doctor))
    assert named(Loop(steps=200, **rates).run()[0]) == []


def test_exploding_gradient():
    class Growing(nn.Module):
        """A recurrence whose weight is too large to be stable. x: (batch, 64) -> (batch, 10)"""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.again, self.head = nn.Linear(64, 32), nn.Linear(32, 32, bias=False), nn.Linear(32, 10)
            with torch.no_grad():
                self.again.weight.copy_(1.6 * torch.eye(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for _ in range(12):
                x = self.again(x)
            return self.head(x)

    doctor, _, _ = replace(healthy, model=Growing, optimizer=lambda m: SGD(m.parameters(), 1e-3)).run()
    assert {"exploding-gradient", "wrong-initial-loss", "learning-rate-too-high", "bad-initialization"} & set(
        named(doctor)[:2]
    )


def test_training_state_lost():
    def run(lose: bool) -> Doctor:
        torch.manual_seed(0)
        x, y, _, _ = digits()
        model = mlp(64, 64, 10)
        optimizer = Adam(model.parameters(), 1e-3)
        doctor = Doctor(model, optimizer, F.cross_entropy)
        for step in range(120):
            if lose and step == 70:
                optimizer.state.clear()
            loss = F.cross_entropy(model(x[:64]), y[:64])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            doctor.watch(loss, x[:64], y[:64])
        doctor.close()
        return doctor

    assert named(run(True)) == ["training-state-lost"]
    assert named(run(False)) == []


def test_dataloader_starvation():
    def slow(step, x, y):
        time.sleep(0.03)
        return x, y

    assert named(replace(healthy, steps=80, change=slow).run()[0]) == ["dataloader-starvation"]


def test_memory_leak():
    kept: list[torch.Tensor] = []

    def leak(step, inputs, target):
        kept.append(torch.ones(256 * 1024))  # 1 MiB a step: more than earlier tests have given back
        return inputs, target

    doctor = replace(healthy, steps=300, change=leak).run()[0]
    assert "memory-leak" in named(doctor)
    assert len(kept) == 300


def test_tensors_without_numbers_are_not_in_the_way_of_counting():
    held = torch.ones(4, 4)
    torch._C._set_throw_on_mutable_data_ptr(held)  # as a compiler marks those of its own
    with pytest.raises(RuntimeError):
        held.untyped_storage().data_ptr()
    real = torch.ones(1024, 1024)
    _, before = kept_tensors()
    del real
    assert before - kept_tensors()[1] == pytest.approx(4.0, abs=0.1)
    assert held.shape == (4, 4)


def test_memory_that_grows_without_a_tensor_is_a_note_at_most():
    kept: list[bytes] = []

    def grow(step, inputs, target):
        kept.append(b"x" * 256 * 1024)
        return inputs, target

    doctor = replace(healthy, steps=300, change=grow).run()[0]
    assert {each.severity for each in doctor.findings if each.name == "memory-leak"} <= {"note"}
    assert len(kept) == 300


def test_a_copy_that_is_put_aside_once_is_no_leak():
    kept: list[torch.Tensor] = []
    noise: list[bytes] = []

    def grow(step, inputs, target):
        noise.append(b"x" * 256 * 1024)  # what makes the doctor look at the tensors
        if step == 260:
            kept.append(torch.ones(24 * 2**18))  # 24 MiB at once, as averaged weights or a best checkpoint take
        return inputs, target

    doctor = replace(healthy, steps=300, change=grow).run()[0]
    assert {each.severity for each in doctor.findings if each.name == "memory-leak"} <= {"note"}
    assert len(kept) == 1 and len(noise) == 300


def test_step_time_cliff():
    def later(step, x, y):
        if step > 110:
            time.sleep(0.03)
        return x, y

    assert {"step-time-cliff", "dataloader-starvation"} & set(named(replace(healthy, steps=150, change=later).run()[0]))


def test_mixed_precision_underflow():
    halves = replace(
        healthy,
        model=lambda: mlp(64, 64, 10).half(),
        loss=lambda o, t: F.cross_entropy(o.float(), t) * 1e-4,
        change=lambda s, x, y: (x.half(), y),
        optimizer=lambda m: SGD(m.parameters(), 0.1),
        steps=60,
    )
    assert "mixed-precision-underflow" in named(halves.run(held_out=None)[0])
    tiny = replace(
        halves, loss=lambda o, t: F.cross_entropy(o.float(), t), optimizer=lambda m: Adam(m.parameters(), 1e-3)
    )
    assert "mixed-precision-underflow" in named(tiny.run(held_out=None)[0])
    fine = replace(healthy, model=lambda: mlp(64, 64, 10).bfloat16(), change=lambda s, x, y: (x.bfloat16(), y))
    assert named(replace(fine, loss=lambda o, t: F.cross_entropy(o.float(), t)).run(held_out=None)[0]) == []


@pytest.mark.parametrize("broken", [True, False])
def test_label_breaking_augmentation(broken):
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    doctor = Doctor(model, Adam(model.parameters(), 3e-3), F.cross_entropy)
    plain = [(x[start : start + 64], y[start : start + 64]) for start in range(0, 768, 64)]
    order = torch.randperm(64)
    change = (lambda rows: rows[:, order]) if broken else (lambda rows: rows + 0.1 * torch.randn_like(rows))
    doctor.check_augmentation(plain, [(change(rows), labels) for rows, labels in plain])
    assert named(doctor) == (["label-breaking-augmentation"] if broken else [])


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        # MiB at four looks of `fit` on MNIST: copies of healthy moments, and a few bytes more at each.
        ([101.356, 101.3561, 120.712, 120.7121], None),
        ([101.0, 108.0, 115.0, 121.0], "memory-leak"),
    ],
)
def test_copies_of_healthy_moments_are_no_leak(tensors, expected):
    record = Record()
    for place in range(24):
        record.add(10 * place, "memory", "", 590.0 + 2.5 * place)
    for place, value in enumerate(tensors):
        record.add(60 * place, "tensors kept", "", value)
        record.add(60 * place, "graphs kept", "", 0.0)
    found = system.memory_leak(record)
    assert (found.name if found is not None and found.severity == "warn" else None) == expected


def test_attention_that_begins_at_one_position_is_told_from_such_that_grows_there():
    for first, begun in ((0.01, True), (0.8, False)):
        made = Record()
        for step in (1, 20, 40, 60):
            made.add(step, "loss", "", 3.0)
            made.add(step, "attention entropy", "block softmax", first if step == 1 else 0.01)
        finding = families.transformer_instability(made)
        assert finding is not None and bool(finding.statistic.get("begun")) is begun
