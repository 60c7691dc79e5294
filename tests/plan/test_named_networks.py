"""Networks that a user names for pictures: what their size asks of them, and a plan that says what was set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainwell.plan.rules import named_network
from trainwell.prepare import announce, prepare


@pytest.mark.parametrize("name", ["resnet", "densenet", "efficientnet", "alexnet"])
def test_small_pictures_are_not_shrunk_at_once(name: str) -> None:
    assert named_network(name, (32, 32, 3))[0] == {"name": name, "stem_stride": 1}
    assert named_network(name, (224, 224, 3))[0] == {"name": name}
    assert named_network(name, ())[0] == {"name": name}


@pytest.mark.parametrize(("side", "patch"), [(32, 4), (96, 8), (224, 16)])
def test_patches_of_a_vision_transformer_suit_the_pictures(side: int, patch: int) -> None:
    part, why = named_network("vit", (side, side))
    assert part == {"name": "vit", "side": side, "patch": patch}
    assert f"{side} x {side}" in why


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        size = (40, 30, 3) if number else (90, 90, 3)  # the first is unlike the others
        Image.fromarray(random.integers(0, 256, size).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_the_plan_speaks_of_the_size_that_pictures_are_brought_to(photos: Path) -> None:
    data, schema, plan = prepare(photos, model="resnet", changes=["train.epochs=2"])
    assert "30 x 40" in next(each.why for each in plan.reasons if each.choice == "resnet")
    assert plan.recipe.model == {"name": "resnet", "stem_stride": 1}
    assert (plan.reasons[-1].key, plan.reasons[-1].choice) == ("train.epochs", "2")
    said = announce(data, schema, plan)
    assert "12 rows" in said and "label" in said and "2 classes" in said and "resnet" in said


@pytest.mark.parametrize(
    ("changes", "mirror"),
    [
        ([], True),
        (["augment=[{name: shift, pixels: 1}]"], False),  # as arrows ask for it
        (["augment=[]"], False),
        (["augment=[]", "task.mirror=true"], True),
        (["augment=[{name: flip}]"], True),
        (["train.epochs=2"], True),
    ],
)
def test_answers_are_mirrored_only_where_training_pictures_are(photos: Path, changes: list[str], mirror: bool) -> None:
    _, _, plan = prepare(photos, changes=changes)
    assert plan.recipe.task.get("mirror", False) == mirror
    assert any(each.choice.startswith("averaged with the mirrored") for each in plan.reasons) == mirror
