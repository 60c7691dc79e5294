"""Paths and small sources that the tests of `data` share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    """The folder of real data sets, which lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED} with real data sets")
    return SHARED


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes text or bytes to a new file and gives its path."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Encodes random pixels as a picture's bytes."""

    def make(height: int = 12, width: int = 10, colour: bool = True, kind: str = "png", seed: int = 0, **save) -> bytes:
        import io

        from PIL import Image

        shape = (height, width, 3) if colour else (height, width)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **save)
        return file.getvalue()

    return make
