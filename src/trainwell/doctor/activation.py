"""The torch functions that run inside a pass, to whoever looks at what they give."""

from collections.abc import Callable
from typing import Any

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
        if self.error is None and (isinstance(result, Tensor) or name in ("lstm", HEADS)):
            try:
                self.seen(name, args, kwargs or {}, result)
            except UNFIT as error:
                self.error = error
        return result
