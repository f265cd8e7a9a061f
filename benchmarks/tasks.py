"""The same work for both sides; importable, as the native side needs it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from omruntime import virtualobj

__all__ = [
    "forever",
    "give",
    "native_give",
    "native_noop",
    "native_predict",
    "native_take",
    "native_total",
    "noop",
    "take",
    "total",
]

MEGABYTES = 10


@virtualobj
def noop(data: Any = None) -> Any:
    """Do nothing."""
    return data


@virtualobj
def total(results: Any = ()) -> Any:
    """Add up what was mapped."""
    return sum(results)


@virtualobj
def forever() -> None:
    """Run until somebody stops it."""
    import threading

    threading.Event().wait()


@virtualobj
def take(data: Any = None) -> int:
    """Receive an array."""
    return int(data.nbytes)


@virtualobj
def give(data: Any = None) -> Any:
    """Return an array of ten megabytes."""
    import numpy as np

    return np.ones(10 * 1024 * 1024 // 8)


def native_noop(data: Any) -> Any:
    """Do nothing."""
    return data


def native_total(data: Any) -> Any:
    """Add up what was mapped."""
    return sum(data)


def native_take(data: Any) -> int:
    """Receive an array."""
    return int(data.nbytes)


def native_give(data: Any) -> Any:
    """Return an array of ten megabytes."""
    import numpy as np

    return np.ones(10 * 1024 * 1024 // 8)


_models: dict[str, Any] = {}


def native_predict(path: str, data: Any) -> Any:
    """Predict with a model that is loaded once per process."""
    if path not in _models:
        _models[path] = pickle.loads(Path(path).read_bytes())
    return _models[path].predict(data)
