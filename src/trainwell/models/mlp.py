"""MLP: layers of weighted sums with a bend between them. Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0."""

from collections.abc import Sequence

from torch import Tensor, nn

from trainwell.nn.activation import activation as activation_module
from trainwell.nn.init import initialize, initialize_for

NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "rms": nn.RMSNorm}


class Residual(nn.Module):
    """A block's output added to its input, which a linear layer first brings to the block's width if it differs.

    x: (batch, features) -> (batch, width)
    """

    def __init__(self, block: nn.Module, features: int, width: int) -> None:
        super().__init__()
        self.block = block
        self.shortcut = nn.Identity() if features == width else nn.Linear(features, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.block(x)


class MLP(nn.Module):
    """Features to outputs through hidden layers of the given widths; pictures are flattened.

    x: (batch, features) -> (batch, outputs)

    initialization: a name of `trainwell.nn.init.INITIALIZERS`; None takes the one that matches the activation.
    Raises ValueError for an unknown activation, norm or initialization.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        widths: Sequence[int] = (256, 256),
        activation: str = "relu",
        norm: str | None = None,
        dropout: float = 0.0,
        residual: bool = False,
        initialization: str | None = None,
    ) -> None:
        super().__init__()
        if norm is not None and norm not in NORMS:
            raise ValueError(f"no norm {norm!r}; known: {', '.join(sorted(NORMS))}")
        layers: list[nn.Module] = []
        before = features
        for width in widths:
            parts: list[nn.Module] = [nn.Linear(before, width)]
            if norm is not None:
                parts.append(NORMS[norm](width))
            parts.append(activation_module(activation))
            if dropout:
                parts.append(nn.Dropout(dropout))
            block = nn.Sequential(*parts)
            layers.append(Residual(block, before, width) if residual else block)
            before = width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(before, outputs)
        if initialization is None:
            initialize_for(self.hidden, activation)
            initialize_for(self.head, "identity")
        else:
            initialize(self, initialization)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x.flatten(1)))
