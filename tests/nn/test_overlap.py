"""Overlaps of boxes against counted pixels, and doubles dropped as a plain loop drops them."""

import torch

from trainwell.nn.boxes import area, generalized_overlap, overlap, without_doubles
from trainwell.nn.feature_pyramid import FeaturePyramid


def boxes(count, seed=0, most=20):
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(0, most, (count, 2), generator=generator)
    return torch.cat([low, low + torch.randint(1, most, (count, 2), generator=generator)], 1).float()


def covered(box):
    mask = torch.zeros(50, 50, dtype=torch.bool)
    left, top, right, bottom = box.int().tolist()
    mask[top:bottom, left:right] = True
    return mask


def test_overlap_is_that_of_counted_pixels():
    first, second = boxes(30), boxes(30, seed=1)
    masks = [(covered(a), covered(b)) for a, b in zip(first, second, strict=True)]
    wanted = torch.tensor([float((a & b).sum() / (a | b).sum()) for a, b in masks])
    torch.testing.assert_close(overlap(first, second), wanted)
    torch.testing.assert_close(area(first), torch.tensor([float(a.sum()) for a, _ in masks]))
    hulls = torch.cat([torch.minimum(first, second)[:, :2], torch.maximum(first, second)[:, 2:]], 1)
    empty = torch.tensor([float(1 - (a | b).sum() / covered(h).sum()) for (a, b), h in zip(masks, hulls, strict=True)])
    torch.testing.assert_close(generalized_overlap(first, second), wanted - empty)
    assert area(torch.tensor([5.0, 5, 2, 9])) == 0


def test_the_generalized_overlap_draws_distant_boxes_together():
    box = torch.tensor([0.0, 0, 5, 5], requires_grad=True)
    (1 - generalized_overlap(box, torch.tensor([20.0, 20, 30, 30]))).backward()
    assert (box.grad[2:] < 0).all()


def test_doubles_are_dropped_as_by_a_plain_loop():
    found = torch.stack([boxes(40, seed=seed, most=12) for seed in (2, 3)])
    labels = torch.arange(80).view(2, 40) % 3
    kept = without_doubles(found, labels, most=0.4)
    for picture in range(2):
        wanted: list[int] = []
        for place in range(40):
            rivals = [each for each in wanted if labels[picture, each] == labels[picture, place]]
            if all(overlap(found[picture, each], found[picture, place]) <= 0.4 for each in rivals):
                wanted.append(place)
        assert kept[picture].nonzero().flatten().tolist() == wanted
    assert 10 < kept.sum() < 78


def test_a_pyramid_informs_shallow_maps_by_deep_ones():
    torch.manual_seed(0)
    pyramid = FeaturePyramid((8, 12, 16), 6, further=1).eval()
    maps = [torch.randn(2, width, *size) for width, size in ((8, (9, 12)), (12, (5, 6)), (16, (3, 3)))]
    found = pyramid(maps)
    assert [tuple(each.shape) for each in found] == [(2, 6, 9, 12), (2, 6, 5, 6), (2, 6, 3, 3), (2, 6, 2, 2)]
    changed = pyramid([*maps[:2], maps[2] + 1])
    assert not torch.allclose(found[0], changed[0])
    shallow = pyramid([maps[0] + 1, *maps[1:]])
    assert torch.equal(found[1], shallow[1])
