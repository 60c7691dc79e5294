"""A picture network to the names that published weight files give to its parameters."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from trainwell.models.alexnet import AlexNet
from trainwell.models.densenet import DenseNet
from trainwell.models.efficientnet import EfficientNet
from trainwell.models.resnet import ResNet
from trainwell.models.vgg import VGG
from trainwell.models.vit import VisionTransformer

# Our module or parameter, and the published one, or several whose rows lie one after the other in ours.
Pairs = Iterator[tuple[str, str | tuple[str, ...]]]


def resnet_torchvision(model: Any) -> Pairs:
    """The names of torchvision and timm: conv1, bn1, layer1 ... layer4, fc."""
    yield from (("stem.0.0", "conv1"), ("stem.0.1", "bn1"), ("head", "fc"))
    for stage, blocks in enumerate(model.stages):
        for number, block in enumerate(blocks):
            ours, theirs = f"stages.{stage}.{number}", f"layer{stage + 1}.{number}"
            for part in range(len(block.body)):
                yield f"{ours}.body.{part}.0", f"{theirs}.conv{part + 1}"
                yield f"{ours}.body.{part}.1", f"{theirs}.bn{part + 1}"
            yield f"{ours}.shortcut", f"{theirs}.downsample"


def resnet_cifar(model: Any) -> Pairs:
    """The names of akamaster/pytorch_resnet_cifar10: torchvision's, but the head is called linear."""
    for ours, theirs in resnet_torchvision(model):
        yield ours, "linear" if ours == "head" else theirs


def resnet_transformers(model: Any) -> Pairs:
    """The names of transformers' ResNetForImageClassification."""
    yield "stem.0.0", "resnet.embedder.embedder.convolution"
    yield "stem.0.1", "resnet.embedder.embedder.normalization"
    yield "head", "classifier.1"
    for stage, blocks in enumerate(model.stages):
        for number, block in enumerate(blocks):
            ours, theirs = f"stages.{stage}.{number}", f"resnet.encoder.stages.{stage}.layers.{number}"
            for part in range(len(block.body)):
                yield f"{ours}.body.{part}.0", f"{theirs}.layer.{part}.convolution"
                yield f"{ours}.body.{part}.1", f"{theirs}.layer.{part}.normalization"
            yield f"{ours}.shortcut.0", f"{theirs}.shortcut.convolution"
            yield f"{ours}.shortcut.1", f"{theirs}.shortcut.normalization"


def plain_torchvision(model: Any, places: tuple[int, int, int]) -> Pairs:
    """The names of torchvision's AlexNet and VGG: features.N over all stages, classifier.N at the given places."""
    count = 0
    for stage, layers in enumerate(model.stages):
        for number in range(len(layers)):
            yield f"stages.{stage}.{number}", f"features.{count}"
            count += 1
    linears = [number for number, layer in enumerate(model.hidden) if isinstance(layer, nn.Linear)]
    for ours, place in zip([*(f"hidden.{number}" for number in linears), "head"], places, strict=True):
        yield ours, f"classifier.{place}"


def alexnet_torchvision(model: Any) -> Pairs:
    """The names of torchvision's AlexNet."""
    yield from plain_torchvision(model, (1, 4, 6))


def vgg_torchvision(model: Any) -> Pairs:
    """The names of torchvision's VGG."""
    yield from plain_torchvision(model, (0, 3, 6))


def vgg_timm(model: Any) -> Pairs:
    """The names of timm's VGG, whose full layers are convolutions of the same numbers."""
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    for ours, theirs in vgg_torchvision(model):
        yield ours, names.get(str(theirs), theirs)


def densenet_torchvision(model: Any) -> Pairs:
    """The names of torchvision and timm."""
    yield from (("stem.0", "features.conv0"), ("stem.1", "features.norm0"))
    yield from (("norm", "features.norm5"), ("head", "classifier"))
    for stage, layers in enumerate(model.stages):
        if stage:
            yield f"stages.{stage}.0.0", f"features.transition{stage}.norm"
            yield f"stages.{stage}.0.2", f"features.transition{stage}.conv"
        shift = 0 if stage else 1  # later stages begin with the transition
        for number in range(1 - shift, len(layers)):
            yield f"stages.{stage}.{number}", f"features.denseblock{stage + 1}.denselayer{number + shift}"


def efficientnet_torchvision(model: Any) -> Pairs:
    """The names of torchvision: features.0 ... features.8, classifier.1."""
    yield from (("stem", "features.0"), ("top", f"features.{len(model.stages) + 1}"), ("head", "classifier.1"))
    for stage, blocks in enumerate(model.stages):
        for number, block in enumerate(blocks):
            ours, theirs = f"stages.{stage}.{number}", f"features.{stage + 1}.{number}.block"
            parts = ["depthwise", "squeeze", "project"]
            if not isinstance(block.expand, nn.Identity):
                parts.insert(0, "expand")
            for place, part in enumerate(parts):
                if part == "squeeze":
                    yield f"{ours}.squeeze.reduce", f"{theirs}.{place}.fc1"
                    yield f"{ours}.squeeze.expand", f"{theirs}.{place}.fc2"
                else:
                    yield f"{ours}.{part}", f"{theirs}.{place}"


def efficientnet_timm(model: Any) -> Pairs:
    """The names of timm: conv_stem, blocks.S.N, conv_head, classifier."""
    yield from (("stem.0", "conv_stem"), ("stem.1", "bn1"))
    yield from (("top.0", "conv_head"), ("top.1", "bn2"), ("head", "classifier"))
    for stage, blocks in enumerate(model.stages):
        for number, block in enumerate(blocks):
            ours, theirs = f"stages.{stage}.{number}", f"blocks.{stage}.{number}"
            narrow = isinstance(block.expand, nn.Identity)
            names = {"depthwise": "conv_dw", "project": "conv_pw"}
            if not narrow:
                names = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
            for place, (part, name) in enumerate(names.items()):
                yield f"{ours}.{part}.0", f"{theirs}.{name}"
                yield f"{ours}.{part}.1", f"{theirs}.bn{place + 1}"
            yield f"{ours}.squeeze.reduce", f"{theirs}.se.conv_reduce"
            yield f"{ours}.squeeze.expand", f"{theirs}.se.conv_expand"


def efficientnet_transformers(model: Any) -> Pairs:
    """The names of transformers' EfficientNetForImageClassification, whose blocks are numbered through."""
    yield "stem.0", "efficientnet.embeddings.convolution"
    yield "stem.1", "efficientnet.embeddings.batchnorm"
    yield "top.0", "efficientnet.encoder.top_conv"
    yield "top.1", "efficientnet.encoder.top_bn"
    yield "head", "classifier"
    blocks = [(stage, number) for stage, layers in enumerate(model.stages) for number in range(len(layers))]
    for count, (stage, number) in enumerate(blocks):
        ours, theirs = f"stages.{stage}.{number}", f"efficientnet.encoder.blocks.{count}"
        yield f"{ours}.expand.0", f"{theirs}.expansion.expand_conv"
        yield f"{ours}.expand.1", f"{theirs}.expansion.expand_bn"
        yield f"{ours}.depthwise.0", f"{theirs}.depthwise_conv.depthwise_conv"
        yield f"{ours}.depthwise.1", f"{theirs}.depthwise_conv.depthwise_norm"
        yield f"{ours}.squeeze", f"{theirs}.squeeze_excite"
        yield f"{ours}.project.0", f"{theirs}.projection.project_conv"
        yield f"{ours}.project.1", f"{theirs}.projection.project_bn"


def vit_timm(model: Any) -> Pairs:
    """The names of timm: patch_embed, cls_token, pos_embed, blocks.N, norm, head."""
    yield from (("embed.proj", "patch_embed.proj"), ("token", "cls_token"), ("positions", "pos_embed"))
    yield from (("norm", "norm"), ("head", "head"))
    for number in range(len(model.blocks)):
        for ours, theirs in (("qkv", "attn.qkv"), ("proj", "attn.proj"), ("fc1", "mlp.fc1"), ("fc2", "mlp.fc2")):
            yield f"blocks.{number}.{ours}", f"blocks.{number}.{theirs}"
        yield from ((f"blocks.{number}.{norm}", f"blocks.{number}.{norm}") for norm in ("norm1", "norm2"))


def vit_torchvision(model: Any) -> Pairs:
    """The names of torchvision: conv_proj, class_token, encoder.layers.encoder_layer_N, heads.head."""
    yield from (("embed.proj", "conv_proj"), ("token", "class_token"), ("positions", "encoder.pos_embedding"))
    yield from (("norm", "encoder.ln"), ("head", "heads.head"))
    for number in range(len(model.blocks)):
        ours, theirs = f"blocks.{number}", f"encoder.layers.encoder_layer_{number}"
        for kind in ("weight", "bias"):
            yield f"{ours}.qkv.{kind}", f"{theirs}.self_attention.in_proj_{kind}"
        names = {"proj": "self_attention.out_proj", "norm1": "ln_1", "norm2": "ln_2", "fc1": "mlp.0", "fc2": "mlp.3"}
        yield from ((f"{ours}.{part}", f"{theirs}.{name}") for part, name in names.items())


def vit_transformers(model: Any, layers: str, names: dict[str, str], heads: tuple[str, str, str]) -> Pairs:
    """The names of transformers' ViTForImageClassification, whose queries, keys and values lie apart."""
    yield "embed.proj", "vit.embeddings.patch_embeddings.projection"
    yield from (("token", "vit.embeddings.cls_token"), ("positions", "vit.embeddings.position_embeddings"))
    yield from (("norm", "vit.layernorm"), ("head", "classifier"))
    for number in range(len(model.blocks)):
        ours, theirs = f"blocks.{number}", f"vit.{layers}.{number}"
        for kind in ("weight", "bias"):
            yield f"{ours}.qkv.{kind}", tuple(f"{theirs}.attention.{head}.{kind}" for head in heads)
        yield from ((f"{ours}.{part}", f"{theirs}.{name}") for part, name in names.items())
        yield from ((f"{ours}.norm1", f"{theirs}.layernorm_before"), (f"{ours}.norm2", f"{theirs}.layernorm_after"))


def vit_hub(model: Any) -> Pairs:
    """The names that ViT files on the hub have."""
    names = {"proj": "attention.output.dense", "fc1": "intermediate.dense", "fc2": "output.dense"}
    heads = ("attention.query", "attention.key", "attention.value")
    yield from vit_transformers(model, "encoder.layer", names, heads)


def vit_transformers5(model: Any) -> Pairs:
    """The names that transformers 5 gives to the parameters in memory."""
    names = {"proj": "attention.o_proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
    yield from vit_transformers(model, "layers", names, ("q_proj", "k_proj", "v_proj"))


LAYOUTS: dict[type[nn.Module], dict[str, Callable[[Any], Pairs]]] = {
    ResNet: {"torchvision": resnet_torchvision, "cifar": resnet_cifar, "transformers": resnet_transformers},
    AlexNet: {"torchvision": alexnet_torchvision},
    VGG: {"torchvision": vgg_torchvision, "timm": vgg_timm},
    DenseNet: {"torchvision": densenet_torchvision},
    EfficientNet: {
        "torchvision": efficientnet_torchvision,
        "timm": efficientnet_timm,
        "transformers": efficientnet_transformers,
    },
    VisionTransformer: {
        "timm": vit_timm,
        "torchvision": vit_torchvision,
        "transformers": vit_hub,
        "transformers5": vit_transformers5,
    },
}
