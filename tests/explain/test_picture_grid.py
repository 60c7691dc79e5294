"""Grids and animations hold the pictures they were given, in order."""

import torch
from PIL import Image

from trainwell.explain.picture_grid import grid, save_animation, save_grid


def test_grid_places_pictures_row_by_row():
    pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 2, 3).contiguous()
    found = grid(pictures, columns=3, gap=1, background=9)
    assert found.shape == (1, 2 * 3 + 1, 3 * 4 + 1)
    assert found[0, 1].tolist() == [9, 0, 0, 0, 9, 1, 1, 1, 9, 2, 2, 2, 9]
    assert found[0, 4].tolist() == [9, 3, 3, 3, 9, 4, 4, 4, 9, 9, 9, 9, 9]
    assert found[0, 0].tolist() == found[0, 3].tolist() == [9] * 13


def test_files_open_again(tmp_path):
    pictures = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    with Image.open(save_grid(pictures, tmp_path / "grid.png", columns=2, enlarge=3)) as image:
        assert image.size == (19 * 3, 19 * 3) and image.mode == "RGB"
        assert image.getpixel((3, 3)) == tuple(pictures[0, :, 0, 0].tolist())
    with Image.open(save_animation([pictures[:, :1], 255 - pictures[:, :1]], tmp_path / "way.gif", columns=2)) as film:
        assert film.n_frames == 2
