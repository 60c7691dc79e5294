"""Collapsed posteriors in hand-written loops: what the divergence weighs, and that the code comes to say something."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from loops import mlp
from sklearn.datasets import load_digits

from trainwell.doctor import Doctor
from trainwell.doctor.aftercare import Before
from trainwell.doctor.bound import KINDS, Pass, Weights, pass_of
from trainwell.doctor.finding import Finding
from trainwell.doctor.lighter_bound import free_bits, restore_bound
from trainwell.doctor.patient import from_loop
from trainwell.doctor.remedy import Chart

STEPS = 600
INK = torch.tensor(load_digits().data[:1400], dtype=torch.float32) / 16


class VAE(nn.Module):
    """As PyTorch's example has it. x: (batch, 64) -> shares of ink, means, log-variances"""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(64, 100), nn.Linear(100, 8), nn.Linear(100, 8)
        self.fc3, self.fc4 = nn.Linear(8, 100), nn.Linear(100, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.fc1(x))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


class Folds(nn.Module):
    """The same by convolutions, its normal kept beside. x: (batch, 1, 8, 8) -> scores"""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 16))
        self.outer = nn.Sequential(
            nn.Linear(8, 256), nn.ReLU(), nn.Unflatten(1, (16, 4, 4)), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = self.inner(x).chunk(2, 1)
        self.posterior = Normal(mean, (0.5 * spread).exp())
        return self.outer(self.posterior.rsample())


def loss_function(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, reduction: str, beta: float) -> Tensor:
    errors = F.binary_cross_entropy(recon, x.view(-1, 64), reduction=reduction)
    divergence = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return errors + beta * (divergence if reduction == "sum" else divergence / len(x))


def train(reduction: str, beta: float = 1.0, mode: str | None = "treat", seed: int = 0) -> tuple[Doctor | None, float]:
    """A loop that tells its loss and rows and nothing else; the share of the ink that is drawn again."""
    torch.manual_seed(seed)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    doctor = Doctor(model, optimizer, mode=mode) if mode else None
    for step in range(STEPS):
        x = INK[(step * 64) % 1300 :][:64]
        loss = loss_function((made := model(x))[0], x, made[1], made[2], reduction, beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if doctor is not None:
            doctor.watch(loss, x)
    if doctor is not None:
        doctor.close()
        assert not doctor.broken, doctor.broken
    with torch.no_grad():
        mean = model.fc21(F.relu(model.fc1(INK)))
        drawn = torch.sigmoid(model.fc4(F.relu(model.fc3(mean))))
    return doctor, float(1 - (drawn - INK).square().mean() / (INK - INK.mean(0)).square().mean())


def fold(errors: str, seed: int = 0, mode: str | None = "treat") -> tuple[Doctor | None, float]:
    torch.manual_seed(seed)
    model, x = Folds(), INK.view(-1, 1, 8, 8)

    def criterion(scores: Tensor, wanted: Tensor) -> Tensor:
        squares = errors == "squares summed"
        lost = (F.mse_loss if squares else F.binary_cross_entropy_with_logits)(scores, wanted, reduction="none")
        lost = lost.mean() if errors == "mean" else lost.sum() / len(wanted)
        prior = Normal(torch.zeros(8), torch.ones(8))
        return lost + kl_divergence(model.posterior, prior).sum(1).mean()

    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    doctor = Doctor(model, optimizer, loss=criterion, mode=mode, steps=STEPS) if mode else None
    for step in range(STEPS):
        rows = x[(step * 64) % 1300 :][:64]
        loss = criterion(model(rows), rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if doctor is not None:
            doctor.watch(loss, rows, rows)
    if doctor is not None:
        doctor.close()
        assert not doctor.broken, doctor.broken
    with torch.no_grad():
        drawn = model.outer(model.inner(x).chunk(2, 1)[0])
    drawn = drawn if errors == "squares summed" else drawn.sigmoid()
    return doctor, float(1 - (drawn - x).square().mean() / (x - x.mean(0)).square().mean())


@pytest.mark.parametrize(("reduction", "beta", "times"), [("mean", 1.0, "64 times"), ("sum", 30.0, "30 times")])
def test_a_divergence_that_weighs_too_much_is_weighed_as_in_the_bound(reduction, beta, times):
    doctor, score = train(reduction, beta)
    (finding,) = [each for each in doctor.findings if each.severity != "note"]
    assert finding.name == "posterior-collapse" and f"weighs {times}" in finding.evidence and finding.cured
    assert f"divided by {times.split()[0]}" in doctor.history[0]["change"] and len(doctor.history) == 1
    assert train(reduction, beta, None)[1] < 0.1 and score > 0.95 * train("sum", mode=None)[1]


def test_a_divergence_that_is_subtracted_is_told_and_added_again():
    doctor, drawn = train("sum", -1.0)
    assert doctor is not None
    first = next(each for each in doctor.findings if each.severity != "note")
    assert (first.name, first.where) == ("gradient-ascent", "divergence")
    assert any("divided by -1" in str(each["change"]) for each in doctor.history)
    assert drawn > train("sum", -1.0, None)[1] and drawn > 0.3


def test_a_healthy_autoencoder_learns_as_if_nobody_looked():
    doctor, score = train("sum")
    assert not doctor.history and not doctor.findings
    assert doctor.record.facts["divergence over errors"] == pytest.approx(1, rel=1e-3)
    assert score == train("sum", mode=None)[1]


def test_a_normal_that_is_kept_beside_is_found_as_well():
    doctor, score = fold("mean")
    assert [each.name for each in doctor.findings] == ["posterior-collapse"]
    assert score > 0.95 * fold("summed", mode=None)[1]


def codes(kind: str) -> list[Tensor]:
    torch.manual_seed(0)
    mean, other = torch.randn(2, 32, 4)
    return [each.requires_grad_() for each in (mean, other.exp() if kind in ("deviation", "variance") else other)]


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "mean"])
def test_each_way_to_tell_a_variance_is_known_by_its_gradient(kind):
    mean, other = codes(kind)
    spread = {"log-variance": (other / 2).exp(), "log-deviation": other.exp(), "variance": other.sqrt()}
    own = Normal(mean, spread.get(kind, other))
    divergence = kl_divergence(own, Normal(0.0, 1.0)).sum(1).mean()
    (5 * divergence).backward()
    weights = Weights()
    for place, each in enumerate((mean, other)):
        weights.read_code(place, each, each.grad)
    assert weights.kinds == {0: "mean", 1: kind} and weights.divergence == pytest.approx(5, rel=1e-3)
    made = Pass([mean, other], None, None)
    assert weights.nats(made).sum().item() == pytest.approx(divergence.item(), rel=1e-4)


def treated(remedy) -> tuple[VAE, Chart, str]:
    torch.manual_seed(0)
    model = VAE()
    patient = from_loop(model, torch.optim.SGD(model.parameters(), 0.1), None)
    patient.weights = Weights(0.1, {0: 1.0, 1: 1.0}, {0: "mean", 1: "log-variance"})
    chart = Chart(patient, None, {"steps": 100}, False)
    before = Before.of(patient, chart, {}, 0)
    words = remedy(chart, Finding("posterior-collapse", "encoder", "critical", "", "", 0.85, 0))
    assert before.fits(patient, chart)
    chart.before = before
    return model, chart, words


def pull(model: VAE) -> Tensor:
    """The divergence's gradient at the last layers of the encoder."""
    model.zero_grad()
    _, mu, logvar = model(INK[:32])
    (0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()).backward()
    return model.fc21.weight.grad.clone()


def test_a_cure_leaves_out_what_the_divergence_weighs_beyond_and_comes_off_again():
    plain = pull(treated(lambda chart, finding: "")[0])
    model, chart, words = treated(restore_bound)
    assert "divided by 10" in words and torch.allclose(pull(model), 0.1 * plain, atol=1e-7)
    chart.before.put_back(chart.patient, chart)
    assert torch.equal(pull(model), plain)
    free, _, words = treated(free_bits)
    assert "0.25 nats" in words and not pull(free).any()  # no latent of a fresh network says so much


def test_what_is_no_autoencoder_shows_no_codes():
    model = mlp(64, 32, 10)
    assert not pass_of(model, (INK[:8],), model(INK[:8])).codes
    recurrent = nn.LSTM(8, 8, batch_first=True)
    x = INK[:8].view(8, 8, 8)
    assert not pass_of(recurrent, (x,), recurrent(x)).codes
