"""Hub folders (config.json, model.safetensors) to models and back: BERT, GPT-2, Llama and T5."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.errors import InputError, suggest
from trainwell.models import hub_layouts as layouts
from trainwell.models.bert import Bert, BertClassifier, BertEncoder, BertTagger
from trainwell.models.gpt2 import GPT2
from trainwell.models.llama import Llama
from trainwell.models.t5 import T5


class Layout(NamedTuple):
    """How one architecture of the hub corresponds to one model of ours."""

    model: type[nn.Module]
    names: list[tuple[str, str]]  # our parameter, theirs; "*" is a layer's number
    read: Callable[[dict[str, Any]], dict[str, Any]]  # config.json -> arguments of the model
    write: Callable[[Any], dict[str, Any]]  # model -> config.json
    opened: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict  # their tensors, one parameter each
    closed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict  # and back


LAYOUTS: dict[str, Layout] = {
    "BertModel": Layout(BertEncoder, layouts.BERT, layouts.read_bert, layouts.write_bert),
    "BertForMaskedLM": Layout(Bert, layouts.BERT_MASKED, layouts.read_bert, layouts.write_bert),
    "BertForSequenceClassification": Layout(
        BertClassifier, layouts.BERT_CLASSES, layouts.read_bert_classes, layouts.write_bert
    ),
    "BertForTokenClassification": Layout(BertTagger, layouts.BERT_TAGS, layouts.read_bert_tags, layouts.write_bert),
    "GPT2LMHeadModel": Layout(
        GPT2, layouts.GPT2, layouts.read_gpt2, layouts.write_gpt2, layouts.open_gpt2, layouts.close_gpt2
    ),
    "LlamaForCausalLM": Layout(Llama, layouts.LLAMA, layouts.read_llama, layouts.write_llama),
    "T5ForConditionalGeneration": Layout(
        T5, layouts.T5, layouts.read_t5, layouts.write_t5, layouts.open_t5, layouts.close_t5
    ),
}
# Folders that name no architecture, or one that only lacks a head of ours.
INSTEAD = {
    "bert": "BertModel",
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "BertForPreTraining": "BertForMaskedLM",
    "GPT2Model": "GPT2LMHeadModel",
    "LlamaModel": "LlamaForCausalLM",
    "T5Model": "T5ForConditionalGeneration",
}


def is_hub(model: nn.Module, folder: str | Path) -> bool:
    """Whether the folder has the hub's config.json, and the hub a layout for this model's class."""
    known = any(type(model) is layout.model for layout in LAYOUTS.values())
    return known and (Path(folder) / "config.json").is_file()


def load_hub(folder: str | Path) -> nn.Module:
    """The model that a hub folder holds, in evaluation mode.

    Raises InputError for a missing or broken file, an unknown architecture or option, or missing weights.
    """
    folder = Path(folder)
    config = read_config(folder)
    layout = LAYOUTS[architecture_of(config, folder)]
    model = layout.model(**layout.read(config))
    fresh = load_into(model, folder)
    if fresh:
        raise InputError(f"{folder}: the file lacks {len(fresh)} weights of its architecture, such as {fresh[0]}")
    return model.eval()


def hub_arguments(folder: str | Path) -> dict[str, Any]:
    """The arguments (vocabulary, width, depth, ...) that build a model of the size of this hub folder's."""
    config = read_config(Path(folder))
    return LAYOUTS[architecture_of(config, Path(folder))].read(config)


def load_into(model: nn.Module, folder: str | Path) -> list[str]:
    """Copy a hub folder's weights into a model of the same family, heads included where both have them.

    Returns the names of our parameters that the file says nothing of: a new head. Raises InputError if a weight has
    another shape than the model's, or if none fits.
    """
    folder = Path(folder)
    layout = layout_of(model)
    theirs = layout.opened({layouts.plain_name(name): tensor for name, tensor in read_tensors(folder).items()})
    own = model.state_dict()
    fresh = []
    for ours, name in expanded(layout.names, own):
        if name not in theirs:
            fresh.append(ours)
            continue
        if own[ours].shape != theirs[name].shape:
            raise InputError(
                f"{folder}: {name} has shape {tuple(theirs[name].shape)}, the model's {ours} has "
                f"{tuple(own[ours].shape)}; build the model with the arguments of hub_arguments"
            )
        with torch.no_grad():
            own[ours].copy_(theirs[name])
    known = {ours for ours, _ in expanded(layout.names, own)}
    fresh += [name for name in own if name not in known]
    if len(fresh) == len(own):
        raise InputError(
            f"{folder}: no weight fits a {type(model).__name__}; the file has {', '.join(list(theirs)[:5])}"
        )
    return fresh


def save_hub(model: nn.Module, folder: str | Path, **config: Any) -> None:
    """Write a model as a hub folder that transformers opens; further entries of config.json by name (eos_token_id=2).

    Raises InputError for a model whose architecture the hub does not know.
    """
    layout = layout_of(model)
    architecture = next(name for name, known in LAYOUTS.items() if known is layout)
    own = model.state_dict()
    named = expanded(layout.names, own)
    theirs = layout.closed({name: own[ours] for ours, name in named})
    unknown = set(own) - {ours for ours, _ in named}
    if unknown:
        raise InputError(f"the hub's {architecture} has no place for {sorted(unknown)[0]}; save the encoder alone")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = layouts.PREFIXES.get(architecture, "")
    theirs = {layouts.full_name(name, prefix): tensor.clone().contiguous() for name, tensor in theirs.items()}
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    content = {"architectures": [architecture], **layout.write(model), **config}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def layout_of(model: nn.Module) -> Layout:
    """The layout of this model's class; raises InputError if the hub has none."""
    for layout in LAYOUTS.values():
        if type(model) is layout.model:
            return layout
    raise InputError(f"no hub layout for {type(model).__name__}; known: {', '.join(sorted(LAYOUTS))}")


def architecture_of(config: dict[str, Any], folder: Path) -> str:
    """The key of LAYOUTS that config.json asks for; raises InputError with the known ones."""
    for name in (*(config.get("architectures") or ()), config.get("model_type", "")):
        name = INSTEAD.get(name, name)
        if name in LAYOUTS:
            return name
    asked = (config.get("architectures") or [config.get("model_type")])[0]
    raise InputError(f"{folder / 'config.json'}: architecture {asked!r} is unknown; {suggest(str(asked), LAYOUTS)}")


def expanded(names: list[tuple[str, str]], own: dict[str, Tensor]) -> list[tuple[str, str]]:
    """Pairs of our name and theirs for every layer that the model has."""
    pairs = []
    for ours, theirs in names:
        if "*" not in ours:
            pairs += [(ours, theirs)] if ours in own else []
            continue
        layer = 0
        while ours.replace("*", str(layer)) in own:
            pairs.append((ours.replace("*", str(layer)), theirs.replace("*", str(layer))))
            layer += 1
    return pairs


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as a dict; raises InputError if it is not there or no JSON."""
    path = folder / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; a hub folder holds config.json and model.safetensors") from None
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error})") from None


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the parts that its index names; raises InputError if there are none."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists():
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    tensors: dict[str, Tensor] = {}
    for name in files:
        try:
            tensors |= load_file(folder / name)
        except FileNotFoundError:
            note = " (pytorch_model.bin is a pickle and is not opened)" if list(folder.glob("*.bin")) else ""
            raise InputError(f"{folder / name}: not found; weights are read from safetensors alone{note}") from None
        except SafetensorError as error:
            raise InputError(f"{folder / name}: no safetensors file ({error})") from None
    return tensors
