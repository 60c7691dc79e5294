"""Weights at hand and a plan to a plan that starts from them: the network that they fill, and gentler learning."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.errors import InputError
from trainwell.models.recognize import is_published, recognized
from trainwell.models.weights import weights_file
from trainwell.plan.profile import Profile
from trainwell.recipe import Recipe

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet, by which published weights were learned
STEPS, FEWEST, MOST = 1_500, 8, 60  # of fine-tuning; passes over the data
FEW = 5_000  # rows below which the early stages wait


def from_weights(profile: Profile, plan: "Plan", weights: str, model: str | None) -> None:
    """Set the network that the weights fill, and a training that keeps what they know.

    Raises InputError for a file that is not there, and for one of an unknown network where its user names none.
    """
    file = weights_file(weights)
    if not file.is_file():
        raise InputError(f"--weights {weights}: no such file, run folder or hub name (hub:owner/name)")
    part, why, published = _network(weights, file, model, profile)
    void = ("model", "optimizer", "schedule", "train") if profile.images else ("model", "optimizer")
    plan.reasons = [each for each in plan.reasons if each.key not in void or (each.key == "model" and part is None)]
    if part is not None:
        if profile.task == "segment" and part["name"] != "unet":
            part = {"name": "unet", "backbone": part}
        plan.choose("model", part, _said(part), why)
    if published and profile.images:
        plan.recipe.transform |= {"mean": MEAN, "std": STD}
        plan.reasons.append(
            type(plan.reasons[0])("transform", "ImageNet's mean and deviation", "as the weights learned")
        )
    few = profile.rows < FEW
    transfer: dict[str, Any] = {"weights": str(Path(weights).absolute()) if Path(weights).exists() else weights}
    transfer |= {"freeze": -1, "thaw": 0.2, "decay": 0.8} if few else {"decay": 0.9}
    told = "head first, then stage by stage" if few else "all stages, the early ones more slowly"
    why = f"weights are at hand and {profile.rows:,} rows are few: a new head must not shake what the stages know"
    if not few:
        why = f"weights are at hand: they save most of the way, and {profile.rows:,} rows are enough to move them all"
    plan.choose("transfer", transfer, told, why)
    if not profile.images:
        rate = plan.recipe.optimizer.get("lr", 1e-3) / 3
        plan.choose(
            "optimizer", {**plan.recipe.optimizer, "lr": rate}, f"a rate of {rate:.2g}", "a third, as weights are good"
        )
        return
    plan.choose(
        "optimizer",
        {"name": "adamw", "lr": 2e-3, "weight_decay": 0.02},
        "AdamW at 0.002",
        "small steps from good weights",
    )
    plan.choose("schedule", {"name": "one_cycle"}, "one cycle", "up while the stages thaw, then down")
    batch = 32 if few else 128
    epochs = max(FEWEST, min(MOST, round(STEPS * batch / max(1, profile.rows))))
    kept = {key: value for key, value in plan.recipe.train.items() if key in ("precision", "seconds")}
    settings = {**kept, "epochs": epochs, "batch_size": batch, "ema": 0.99, "evaluations": 15}
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"some {STEPS:,} steps; averaged weights answer")


def network_of_run(weights: str | None) -> str | None:
    """The name of the network that a run trained, where the weights are those of a run."""
    recipe = Path(weights or "") / "recipe.yaml"
    return Recipe.load(recipe).model.get("name") if weights and recipe.is_file() else None


def _network(weights: str, file: Path, model: str | None, profile: Profile) -> tuple[dict[str, Any] | None, str, bool]:
    """The network's part of the recipe, why it is that one, and whether ImageNet's scaling goes with it."""
    recipe = Path(weights) / "recipe.yaml"
    if recipe.is_file():
        part = Recipe.load(recipe).model
        if model is not None and model != part.get("name"):
            raise InputError(f"--model {model}: the run {weights} trained {part.get('name')}; leave --model out")
        return part, f"the network of the run {Path(weights).name}, whose weights it starts from", False
    if model == "own":
        return None, "", False
    found = recognized(file) if profile.images else None
    if found is None:
        if model is None:
            raise InputError(
                f"--weights {weights}: of no network that is known by its published names; name it with --model, and "
                "what a recipe sets with --set model.KEY=VALUE"
            )
        return None, "", False
    part, layout, channels = found
    if model not in (None, part["name"], "unet"):
        raise InputError(f"--model {model}: the weights are those of {_said(part)}; leave --model out")
    colours = 3 if len(profile.shape) == 3 else 1
    if channels != colours:
        raise InputError(f"--weights {weights}: for pictures of {channels} channels; these have {colours}")
    return part, f"the file holds every weight of it, under the names of {layout}", is_published(layout)


def _said(part: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in part.items() if key != "name" and not isinstance(value, dict))
    return f"{part['name']} {rest}".strip()
