"""Seq2Seq: learns to turn sequences round, and shows where it looked."""

import torch
from torch.nn import functional as F

from trainwell.models.decode import generate
from trainwell.models.seq2seq import Seq2Seq
from trainwell.nn.attention import attention_maps


def test_learns_to_reverse_and_looks_at_what_it_writes():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Seq2Seq(12, width=48, dropout=0.0, start=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(250):
        source = torch.randint(2, 12, (64, 5))
        target = source.flip(1)
        given = torch.cat((torch.ones(64, 1, dtype=torch.long), target[:, :-1]), 1)
        loss = F.cross_entropy(model(source, given).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    source = torch.randint(2, 12, (50, 5))
    with attention_maps(model) as maps:
        got = torch.stack(generate(model, source, length=5))
    assert (got == source.flip(1)).float().mean() > 0.9
    looks = torch.cat(maps["attention"], dim=2)[:, 0]  # (batch, steps, places)
    assert looks.shape == (50, 5, 5) and torch.allclose(looks.sum(-1), torch.ones(50, 5), atol=1e-5)
