"""Data arguments: by name and selector, or by value, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from omruntime.store import ObjectStore

__all__ = ["concatenated", "is_chunked", "load", "pairs"]


def is_chunked(argument: Any) -> bool:
    """Tell whether an argument names a dataset in chunks (``d#``)."""
    return argument is not None and argument[0] == "name" and "#" in argument[1]


def load(argument: Any, datasets: ObjectStore, *, squeeze: bool = False) -> Any:
    """Return the data of an argument: ``('name', name)`` or ``('value', value)``; None for none.

    Args:
        argument: the argument as it travelled.
        datasets: where names are looked up.
        squeeze: a single selected column is a Series.
    """
    if argument is None:
        return None
    if argument[0] == "value":
        return argument[1]
    return datasets.get(argument[1], squeeze=squeeze)


def pairs(x: Any, y: Any, datasets: ObjectStore) -> Iterator[tuple[Any, Any]]:
    """Yield X with the Y that belongs to it, chunk by chunk where X is chunked."""
    if not is_chunked(x):
        yield load(x, datasets), load(y, datasets, squeeze=True)
        return
    chunks: Iterable[Any] = load(x, datasets)
    if y is None:
        yield from ((chunk, None) for chunk in chunks)
    elif is_chunked(y):
        yield from zip(chunks, load(y, datasets, squeeze=True), strict=True)
    else:
        yield from _cut(chunks, load(y, datasets, squeeze=True))


def _cut(chunks: Iterable[Any], whole: Any) -> Iterator[tuple[Any, Any]]:
    start = 0
    for chunk in chunks:
        stop = start + len(chunk)
        yield chunk, whole.iloc[start:stop] if hasattr(whole, "iloc") else whole[start:stop]
        start = stop


def concatenated(parts: list[Any]) -> Any:
    """Return the values of all chunks as one value of their kind, in order."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if type(first).__module__.split(".")[0] == "pandas":
        import pandas as pd

        return pd.concat(parts)
    if isinstance(first, list | tuple):
        return [item for part in parts for item in part]
    if type(first).__module__.split(".")[0] == "scipy":
        from scipy import sparse

        return sparse.vstack(parts)
    import numpy as np

    return np.concatenate(parts)
