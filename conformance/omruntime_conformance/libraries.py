"""Libraries that few rules need and that take seconds to import: each is imported when something of it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["hypothesis", "np", "npst", "pd", "sklearn", "st"]


class _Library:
    """Stands for a module, and imports it when it is asked for a name.

    Args:
        module: full name.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = import_module(self._module)
        try:
            return getattr(found, name)
        except AttributeError:
            # Not every library has its submodules before somebody has imported them.
            try:
                return import_module(f"{self._module}.{name}")
            except ModuleNotFoundError:
                raise AttributeError(f"{self._module} has no {name}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        # A function of the suite may be sent to a worker with the modules that it names.
        return import_module, (self._module,)


if TYPE_CHECKING:
    import hypothesis
    import numpy as np
    import pandas as pd
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as npst

    sklearn: Any
else:
    np, pd, sklearn = (_Library(module) for module in ("numpy", "pandas", "sklearn"))
    hypothesis = _Library("hypothesis")
    st, npst = _Library("hypothesis.strategies"), _Library("hypothesis.extra.numpy")
