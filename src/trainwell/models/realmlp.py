"""RealMLP: a multi-layer perceptron with the habits that tables reward. Holzmüller et al. 2024, arXiv:2407.04491."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.nn.activation import activation as activation_module
from trainwell.nn.embed_categories import MemberEmbedding, OneHot
from trainwell.nn.embed_numbers import PeriodicBiasDense

FEW = 9  # a column of up to so many categories is one-hot, a larger one embedded
EMBEDDING = 8  # values an embedded category has
NEIGHBOURS = 5  # training rows whose average decides where a unit's bend lies


class TangentLinear(nn.Module):
    """A linear layer for each member, weights of variance 1 divided by the square root of the number of inputs.

    x: (members, batch, inputs) -> (members, batch, outputs)

    This "neural tangent" form (Jacot et al. 2018) lets one learning rate serve layers of all widths.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, inputs, outputs))
        self.bias = nn.Parameter(torch.randn(members, 1, outputs))
        self.scale = max(inputs, 1) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight * self.scale)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Give each unit variance 1 over these inputs, and put its bend amid them; x: (members, rows, inputs)."""
        sums = torch.bmm(x, self.weight * self.scale)
        deviation = sums.std(dim=1, keepdim=True, correction=0)
        deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
        self.weight.div_(deviation)
        sums /= deviation
        chosen = torch.randint(sums.shape[1], (sums.shape[0], NEIGHBOURS, sums.shape[2]), device=x.device)
        shares = torch.empty_like(chosen, dtype=sums.dtype).exponential_()
        shares /= shares.sum(dim=1, keepdim=True)
        self.bias.copy_(-(sums.gather(1, chosen) * shares).sum(dim=1, keepdim=True))


class ParametricActivation(nn.Module):
    """An activation that each unit learns how much of to apply: x + strength * (activation(x) - x), from strength 1.

    x: (members, batch, width) -> (members, batch, width)
    """

    def __init__(self, members: int, width: int, name: str) -> None:
        super().__init__()
        self.activation = activation_module(name)
        self.strength = nn.Parameter(torch.ones(members, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(x), self.strength.to(x.dtype))


class RealMLP(nn.Module):
    """A table's row to one answer a member; members share nothing but the matrix products that compute them.

    numbers: (batch, numbers), categories: (batch, columns) -> (batch, members, outputs); (batch, outputs) of one member

    activation: "selu" suits classes and "mish" numbers, says the paper
    frequencies, frequency_scale: of the cosines that embed each number
    """

    def __init__(
        self,
        numbers: int,
        categories: Sequence[int],
        outputs: int,
        *,
        members: int = 1,
        width: int = 256,
        depth: int = 3,
        dropout: float = 0.15,
        activation: str = "mish",
        frequencies: int = 16,
        frequency_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.members = members
        self.waves = (
            PeriodicBiasDense(numbers, members=members, frequencies=frequencies, scale=frequency_scale)
            if numbers
            else None
        )
        self.few = [column for column, count in enumerate(categories) if count - 1 <= FEW]
        self.many = [column for column, count in enumerate(categories) if count - 1 > FEW]
        self.one_hot = OneHot([categories[column] for column in self.few])
        self.embeddings = nn.ModuleList(MemberEmbedding(members, categories[i], EMBEDDING) for i in self.many)
        features = numbers * 4 + self.one_hot.features + EMBEDDING * len(self.many)
        self.scale = nn.Parameter(torch.ones(members, 1, features))
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers.append(TangentLinear(members, features if layer == 0 else width, width))
            layers += [ParametricActivation(members, width, activation), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.head = TangentLinear(members, width if depth else features, outputs)

    def embed(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """All columns as one scaled vector a member: -> (members, batch, features)."""
        parts = [self.one_hot(categories[:, self.few]).expand(self.members, -1, -1)]
        if self.waves is not None:
            parts.append(self.waves(numbers).flatten(2))
        parts += [table(categories[:, column]) for table, column in zip(self.embeddings, self.many, strict=True)]
        return torch.cat(parts, dim=2) * self.scale

    @torch.no_grad()
    def initialize(self, numbers: Tensor, categories: Tensor) -> None:
        """Fit the layers, one after another, to what reaches them of these training rows."""
        x = self.embed(numbers, categories)
        for layer in [*self.hidden, self.head]:
            if isinstance(layer, TangentLinear):
                layer.initialize(x)
            x = x if isinstance(layer, nn.Dropout) else layer(x)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        scores = self.head(self.hidden(self.embed(numbers, categories))).transpose(0, 1)
        return scores if self.members > 1 else scores[:, 0]

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """The paper's rates: 6 times for the columns' scales, a tenth for biases, waves and activations.

        Weights and scales decay, the rest does not.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            kind = name.rpartition(".")[2]
            if name == "scale":
                factor, decay = 6.0, weight_decay
            elif name.startswith("waves.") or kind == "strength" or kind == "bias":
                factor, decay = 0.1, 0.0
            else:
                factor, decay = 1.0, weight_decay
            groups.setdefault((factor, decay), []).append(parameter)
        return [{"params": params, "lr": lr * f, "weight_decay": decay} for (f, decay), params in groups.items()]
