"""The U-Net: any backbone, any size of picture, a gradient everywhere, and nothing of a row in another's answer."""

import pytest
import torch

from trainwell.models.unet import UNet
from trainwell.tasks.segment import Segment

BACKBONES = [
    {"name": "resnet", "depth": 18, "width": 4, "stem_stride": 2},
    {"name": "resnet", "depth": 8, "width": 4},
    {"name": "efficientnet", "width": 0.25, "depth": 0.3, "drop_path": 0.0},
    {"name": "densenet", "layers": [2, 2], "growth": 4},
    {"name": "vgg", "depth": 11, "width": 4},
    {"name": "vit", "width": 32, "depth": 2, "heads": 2, "patch": 4, "side": 16},
]


@pytest.fixture(params=BACKBONES, ids=lambda part: f"{part['name']}{part.get('depth', '')}")
def network(request):
    torch.manual_seed(0)
    return UNet(3, 4, backbone=request.param, width=4, dropout=0.0)


def test_answers_every_pixel_and_learns_everywhere(network):
    x = (
        torch.randn(4, 3, 40, 56)
        if "vit" not in str(type(network.backbone.network)).lower()
        else torch.randn(4, 3, 32, 32)
    )
    scores = network(x)
    assert scores.shape == (4, 4, *x.shape[-2:])
    torch.nn.functional.cross_entropy(scores, torch.randint(0, 4, (4, *x.shape[-2:]))).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


def test_rows_do_not_see_each_other(network):
    network.eval()
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


def test_odd_sizes_and_saving():
    network = UNet(1, 2, backbone=BACKBONES[0]).eval()
    for size in ((37, 53), (16, 90)):
        assert network(torch.randn(2, 1, *size)).shape == (2, 2, *size)
    again = UNet(1, 2, backbone=BACKBONES[0]).eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(1, 1, 20, 20)
    assert torch.equal(again(x), network(x))
    with pytest.raises(ValueError, match="no backbone 'resnte'"):
        UNet(3, 2, backbone={"name": "resnte"})


def test_memorizes_a_batch():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 16)
    target = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    network = UNet(3, 3, backbone={"name": "resnet", "depth": 8, "width": 8}, dropout=0.0)
    task, optimizer = Segment(3), torch.optim.Adam(network.parameters(), 1e-2)
    batch = {"inputs": (x,), "target": target}
    for _ in range(40):
        loss = task.loss(network, batch, "model")
        (loss.total / loss.count).backward()
        optimizer.step()
        optimizer.zero_grad()
    metrics = task.metrics()
    metrics.update(task.predict(network, batch), batch)
    assert metrics.compute()["miou"] > 0.9
