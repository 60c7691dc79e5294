"""A network and a file of weights to one that learns on: loaded, adapted, frozen and thawed, at rates by stage."""

import math
from typing import Any

from torch import nn

from trainwell.errors import InputError
from trainwell.models.backbone import BACKBONES, Backbone
from trainwell.models.hub import is_hub, load_into
from trainwell.models.weights import Loaded, load_weights
from trainwell.nn.lora import add_lora
from trainwell.nn.transfer import freeze, layer_rates, stages, unfreeze

HUB = "transformers"  # the layout of a hub folder


class Transfer:
    """How a network starts from weights that were learned elsewhere; each method changes the network in place.

    weights: a safetensors file, a run folder, a hub folder or "hub:owner/name"; freeze: how many stages keep their
    weights, counted from the input, or from the end where negative, so that -1 leaves the head alone to learn; thaw:
    share of the training over which those stages begin to learn one after the other, the last first (Howard & Ruder
    2018, arXiv:1801.06146), 0 for never; decay: how much slower each stage learns than the next; lora: rank of the
    additions that learn in place of the weights (Hu et al. 2021, arXiv:2106.09685), 0 for none; learn_norms: whether
    the norms of frozen stages learn all the same; new_head: whether a head that would fit is left out too.
    Raises ValueError for shares and ranks that cannot be.
    """

    def __init__(
        self,
        *,
        weights: str,
        freeze: int = 0,
        thaw: float = 0.0,
        decay: float = 1.0,
        lora: int = 0,
        learn_norms: bool = False,
        new_head: bool = False,
    ) -> None:
        if not 0 <= thaw <= 1 or not 0 < decay <= 1 or lora < 0:
            raise ValueError("expected thaw from 0 to 1, decay above 0 up to 1, and lora of 0 or a rank")
        if lora and (freeze or thaw):
            raise ValueError("lora freezes the weights itself: leave out freeze and thaw")
        self.weights, self.frozen, self.thaw, self.decay = weights, freeze, thaw, decay
        self.lora, self.learn_norms, self.new_head = lora, learn_norms, new_head

    def adapt(self, network: nn.Module) -> None:
        """Give the network the additions that learn in place of its weights, where asked for."""
        if self.lora:
            try:
                add_lora(network, rank=self.lora)
            except ValueError as error:
                raise InputError(f"transfer.lora: {error}") from None

    def start(self, network: nn.Module) -> Loaded:
        """Fill the network from the weights; all but a head for other classes has to fit.

        A network over a backbone takes the weights of that backbone too, and a wide and deep one those of its deep
        part. Raises InputError that names what is missing, unexpected or misshapen.
        """
        loaded = self._filled(network)
        head = getattr(network, "head", None)
        if self.new_head and loaded.layout != HUB and isinstance(head, nn.Linear | nn.Conv2d):
            head.reset_parameters()
        if self.decay < 1:
            decay = self.decay

            def groups(lr: float, weight_decay: float) -> list[dict[str, Any]]:
                return layer_rates(network, lr, decay, weight_decay=weight_decay)

            network.parameter_groups = groups  # type: ignore[assignment]
        return loaded

    def _filled(self, network: nn.Module) -> Loaded:
        deep, backbone = getattr(network, "deep", network), getattr(network, "backbone", None)
        if is_hub(deep, self.weights):
            return Loaded(HUB, load_into(deep, self.weights))
        try:
            return load_weights(network, self.weights, new_head=True)
        except InputError:
            if not isinstance(backbone, Backbone):
                raise
            arguments = {key: value for key, value in backbone.part.items() if key != "name"}
            whole = BACKBONES[backbone.part.get("name", "resnet")](backbone.channels, 1, **arguments)
            loaded = load_weights(whole, self.weights, new_head=True)
            backbone.fill(whole)
            return loaded

    def follow(self, network: nn.Module, progress: float) -> list[str]:
        """Freeze what does not learn at this share of the training, 0 to 1; returns the names of the frozen stages."""
        if not self.frozen or self.lora:
            return []
        total = len(stages(network))
        if not -total <= self.frozen <= total:
            raise InputError(
                f"transfer.freeze={self.frozen}: the network has {total} stages: {', '.join(self.names(network))}"
            )
        first = self.frozen % total if self.frozen < 0 else self.frozen
        left = first if not self.thaw else max(0, math.ceil(first * (1 - progress / self.thaw)))
        if not left:
            unfreeze(network)
            return []
        return freeze(network, left, learn_norms=self.learn_norms)

    @staticmethod
    def names(network: nn.Module) -> list[str]:
        """The names of a network's stages, from input to output."""
        return [stage.name for stage in stages(network)]


class Thawing:
    """A schedule that lets frozen stages begin to learn as the training passes."""

    def __init__(self, schedule: Any, transfer: Transfer, network: nn.Module) -> None:
        self.schedule, self.transfer, self.network = schedule, transfer, network
        self.frozen: list[str] | None = None

    def __call__(self, progress: float) -> float:
        """The schedule's own factor."""
        if self.frozen is None or self.frozen:
            self.frozen = self.transfer.follow(self.network, progress)
        return self.schedule(progress)
