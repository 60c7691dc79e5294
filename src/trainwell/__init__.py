"""The package's face: `tw.fit`, `tw.load` and `tw.Run`, each imported when first asked for."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainwell.fit import fit
    from trainwell.load import Run, load

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "fit", "load"]

_HOMES = {"fit": "trainwell.fit", "load": "trainwell.load", "Run": "trainwell.load"}


class _Package(ModuleType):
    """Keeps `tw.fit` the function, although a file of the same name exists."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing trainwell.fit makes Python bind the module over the function of the same name.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trainwell' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return __all__
