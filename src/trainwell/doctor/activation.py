"""The torch functions that run inside a pass, to whoever looks at what they give."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trainwell.doctor.finding import UNFIT

HEADS = "multi_head_attention_forward"  # nn.MultiheadAttention's, within which no function is seen


class ActivationMode(TorchFunctionMode):
    """Sees each torch function that is called inside it, modules' and plain ones alike, and hands on its result.

    It stands in the midst of a training's own pass: where looking fails it looks no more, and `error` says why.
    """

    def __init__(self, seen: Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]) -> None:
        super().__init__()
        self.seen = seen
        self.error: Exception | None = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        seen = _whole(result) if isinstance(result, Tensor) else name in ("lstm", HEADS)
        if self.error is None and seen:
            try:
                self.seen(name, args, kwargs or {}, result)
            except UNFIT as error:
                self.error = error
        return result


def _whole(result: Tensor) -> bool:
    """Whether a tensor may be looked at: within `torch.vmap` and its kin it stands for many, or for a slope."""
    return not torch._C._functorch.is_functorch_wrapped_tensor(result)
