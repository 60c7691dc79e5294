"""What every model of tables by column has to keep: the contract that their tests share."""

import torch
from torch.nn import functional as F


def rows(count=48):
    """Numbers (rows, 4), the last a 0-or-1 column, and codes (rows, 2) of 3 and of 12 categories."""
    random = torch.Generator().manual_seed(3)
    numbers = torch.randn(count, 4, generator=random)
    numbers[:, 3] = (numbers[:, 3] > 0).float()
    codes = torch.stack([torch.randint(0, n, (count,), generator=random) for n in (3, 12)], dim=1)
    return numbers, codes


def loss_of(scores, y):
    """Mean cross-entropy of every member on its own."""
    members = scores if scores.dim() == 3 else scores[:, None]
    return F.cross_entropy(members.flatten(0, 1), y.repeat_interleave(members.shape[1]))


def contract(make, rate):
    """A gradient everywhere, memorizes, no leak between rows, reloads equal, exports. make() gives 3 classes."""
    torch.manual_seed(0)
    numbers, codes = rows()
    y = torch.arange(len(numbers)) % 3
    model = make()
    model.initialize(numbers, codes)
    groups = model.parameter_groups(rate, 0.0) if hasattr(model, "parameter_groups") else model.parameters()
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.0)
    for _ in range(150):
        optimizer.zero_grad()
        loss = loss_of(model(numbers, codes), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    quiet = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert not quiet, f"no gradient: {quiet}"

    model.eval()
    before = model(numbers, codes)
    changed, recoded = numbers.clone(), codes.clone()
    changed[0] += 1
    recoded[0] = 1 - recoded[0].clamp(max=1)
    torch.testing.assert_close(model(changed, recoded)[1:], before[1:])
    assert not torch.allclose(model(changed, recoded)[0], before[0])

    fresh = make().eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(numbers, codes), before)

    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (numbers, codes), dynamic_shapes=({0: batch}, {0: batch}))
    torch.testing.assert_close(exported.module()(numbers[:7], codes[:7]), before[:7], atol=1e-5, rtol=1e-5)
