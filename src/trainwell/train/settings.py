"""What a recipe says under `train`, with its defaults."""

from dataclasses import dataclass

from trainwell.train.precision import Name


@dataclass(kw_only=True, frozen=True)
class Settings:
    """How long, how large and how exactly; the loop's own arguments are described at `train`.

    batch_size: rows a step; ema: decay of averaged weights, None for none; precision: "auto" is bfloat16 where the
    hardware has it; device: "auto" is the GPU where there is one; workers: processes that read ahead what memory does
    not hold, None for one a core up to eight.
    """

    epochs: float = 10
    batch_size: int = 128
    evaluations: int = 40
    patience: int | None = None
    accumulate: int = 1
    clip: float | None = None
    ema: float | None = None
    seconds: float | None = None
    precision: Name = "auto"
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluations", "accumulate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} has to be above zero, found {getattr(self, name)}")
