"""A noisy vector, a time and a class to the noise's direction: residual dense layers, for tables, points and codes.

The layers are those of TabDDPM (Kotelnikov et al. 2022, arXiv:2209.15421), modulated as in DiT (arXiv:2212.09748).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.nn.time import Condition
from trainwell.nn.waves import Waves


class ModulatedLayers(nn.Module):
    """Two linear layers around a shortcut; the condition scales and shifts what enters.

    There is no norm: how long a noisy vector is tells how much of it is noise.

    x: (batch, width), condition: (batch, width) -> (batch, width)
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.modulate = nn.Linear(width, 2 * width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition).chunk(2, 1)
        hidden = F.silu(self.up(x * (1 + scale) + shift))
        return x + self.down(self.dropout(hidden))


class DiffusionMLP(nn.Module):
    """Features, a time and a class to what the task asks for: noise, velocity or data.

    x: (batch, features), time: (batch,) in [0, 1], classes: (batch,) long, -1 for none, or None -> (batch, features)
    waves: frequencies in cycles a unit at which the features enter as sines and cosines too; () for none
    """

    def __init__(
        self,
        features: int,
        classes: int = 0,
        *,
        width: int = 128,
        depth: int = 3,
        dropout: float = 0.0,
        waves: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
        conditional: bool = True,
    ) -> None:
        super().__init__()
        self.classes = classes if conditional else 0
        self.condition = Condition(width, self.classes)
        self.waves = Waves(features, waves)
        self.enter = nn.Linear(self.waves.outputs, width)
        self.layers = nn.ModuleList(ModulatedLayers(width, dropout) for _ in range(depth))
        self.leave = nn.Linear(width, features)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, time: Tensor, classes: Tensor | None = None) -> Tensor:
        condition = F.silu(self.condition(time, classes))
        hidden = self.enter(self.waves(x))
        for layer in self.layers:
            hidden = layer(hidden, condition)
        return self.leave(F.silu(hidden))
