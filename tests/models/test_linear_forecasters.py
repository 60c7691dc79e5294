"""NLinear, DLinear and CycleNet against NumPy, and against the least-squares answer they should reach."""

import numpy as np
import torch

from trainwell.models.cyclenet import CycleNet
from trainwell.models.dlinear import DLinear
from trainwell.models.nlinear import NLinear


def test_nlinear_is_numpys():
    model, x = NLinear(2, 3, lookback=8), np.random.default_rng(0).normal(size=(4, 8, 2)).astype(np.float32)
    weight, bias = model.linear.weight.detach().numpy(), model.linear.bias.detach().numpy()
    for channel in range(2):
        last = x[:, -1:, channel]
        wanted = (x[:, :, channel] - last) @ weight.T + bias + last
        assert np.allclose(model(torch.tensor(x))[:, :, channel].detach().numpy(), wanted, atol=1e-5)


def test_dlinear_is_numpys():
    model, x = DLinear(1, 3, lookback=8, window=5), np.random.default_rng(0).normal(size=8).astype(np.float32)
    trend = np.array([np.mean([x[min(max(i + j, 0), 7)] for j in range(-2, 3)]) for i in range(8)])
    parts = [(part.weight.detach().numpy(), part.bias.detach().numpy()) for part in (model.trend, model.rest)]
    wanted = parts[0][0] @ trend + parts[0][1] + parts[1][0] @ (x - trend) + parts[1][1]
    assert np.allclose(model(torch.tensor(x).view(1, 8, 1)).flatten().detach().numpy(), wanted, atol=1e-5)


def test_cyclenet_is_numpys():
    torch.manual_seed(0)
    model, x = CycleNet(2, 3, lookback=8, period=5), np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    torch.nn.init.normal_(model.cycle)
    cycle, phase = model.cycle.detach().numpy(), 13
    mean, deviation = x.mean(0), np.sqrt(x.var(0) + 1e-5)
    rest = (x - mean) / deviation - np.stack([cycle[(phase + i) % 5] for i in range(8)])
    y = model.map.weight.detach().numpy() @ rest + model.map.bias.detach().numpy()[:, None]
    wanted = (y + np.stack([cycle[(phase + 8 + i) % 5] for i in range(3)])) * deviation + mean
    got = model(torch.tensor(x)[None], torch.tensor([phase]))[0].detach().numpy()
    assert np.allclose(got, wanted, atol=1e-5)


def test_cyclenet_learns_a_cycle_that_its_window_cannot_show():
    torch.manual_seed(0)
    shape = torch.randn(12)
    starts = torch.randint(0, 12, (256,))
    steps = torch.arange(8 + 4)
    series = shape[(starts[:, None] + steps) % 12].unsqueeze(-1) + 0.01 * torch.randn(256, 12, 1)
    losses = {}
    for period in (12, 7):
        torch.manual_seed(1)
        model = CycleNet(1, 4, lookback=8, period=period)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            loss = (model(series[:, :8], starts) - series[:, 8:]).square().mean()
            loss.backward()
            optimizer.step()
        losses[period] = loss.item()
    assert losses[12] < 0.7 * losses[7]
