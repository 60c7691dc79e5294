"""iTransformer against a statement of its own in NumPy, and what inverting promises."""

import numpy as np
import torch
from scipy.special import erf, softmax

from trainwell.models.itransformer import ITransformer


def norm(x: np.ndarray, part: torch.nn.LayerNorm) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + part.eps)
    return x * part.weight.detach().numpy() + part.bias.detach().numpy()


def linear(x: np.ndarray, part: torch.nn.Linear) -> np.ndarray:
    return x @ part.weight.detach().numpy().T + part.bias.detach().numpy()


def test_forecast_is_numpys():
    torch.manual_seed(0)
    model = ITransformer(5, 4, lookback=12, width=8, depth=2, heads=2, hidden=16).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    x = np.random.default_rng(0).normal(size=(12, 5)).cumsum(0)
    mean, deviation = x.mean(0), np.sqrt(x.var(0) + 1e-5)
    z = linear(((x - mean) / deviation).T, model.embedding)  # (channels, width)
    for block in model.blocks:
        part, heads = block.attention.part, []
        q, k, v = (linear(z, layer) for layer in (part.query, part.key, part.value))
        for cut in (slice(0, 4), slice(4, 8)):
            heads.append(softmax(q[:, cut] @ k[:, cut].T / 2, axis=-1) @ v[:, cut])
        z = norm(z + linear(np.concatenate(heads, -1), part.output), block.attention.norm)
        up = linear(z, block.feed_forward.part.up)
        wide = up * (1 + erf(up / np.sqrt(2))) / 2
        z = norm(z + linear(wide, block.feed_forward.part.down), block.feed_forward.norm)
    wanted = linear(norm(z, model.norm), model.head).T * deviation + mean
    got = model(torch.tensor(x, dtype=torch.float32)[None])[0].detach().numpy()
    assert np.allclose(got, wanted, atol=1e-3)


def test_channels_have_no_order():
    torch.manual_seed(0)
    model, x = ITransformer(5, 4, lookback=12, width=8, heads=2).eval(), torch.randn(2, 12, 5)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(model(x[:, :, order]), model(x)[:, :, order], atol=1e-5)
