"""A recipe's transfer part to what starts a run from weights: how they are taken over, and the run they came from."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from trainwell.data import Transform, restored
from trainwell.data.mask_transform import MaskTransform
from trainwell.errors import InputError
from trainwell.models.transfer import Transfer
from trainwell.recipe import Recipe, build
from trainwell.runs import RunFolder

# Parts of a transform that weights were learned with; what belongs to the target is that of the new data.
CONTINUED = ("numbers", "categories", "pictures", "tokenizer")


def transfer_of(recipe: Recipe) -> Transfer:
    """How the recipe starts from weights; raises InputError for arguments that cannot be."""
    if not recipe.transfer.get("weights"):
        raise InputError("transfer: names no weights; give a file, a run folder or hub:owner/name as transfer.weights")
    return build({**recipe.transfer, "name": "transfer"}, {"transfer": Transfer}, "transfer", {})


def continued(made: Transform, recipe: Recipe) -> Transform:
    """The transform with the scalings, codes and vocabulary of the run whose weights are to learn on, if it is a run.

    Its weights know no others. Raises InputError for a run on data of another kind.
    """
    run = Path(str(recipe.transfer.get("weights", "")))
    if not (run / "transform.json").is_file():
        return made
    state = RunFolder(run).read_json("transform.json")
    if state["layout"] != made.layout:
        raise InputError(
            f"transfer: {run} learned from inputs laid out as {state['layout']!r}, this data gives {made.layout!r}"
        )
    try:
        before = restored(state, load_file(run / "transform.safetensors"))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{run / 'transform.safetensors'}: cannot be read: {error}") from None
    kept: dict[str, Any] = {name: getattr(before, name, None) for name in CONTINUED}
    for name, value in kept.items():
        if value is not None:
            setattr(made, name, value)
    if isinstance(made, MaskTransform):
        made.masks.height, made.masks.width = made.pictures.height, made.pictures.width
    return made
