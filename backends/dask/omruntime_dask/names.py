"""Addresses of schedulers, and the resources that stand for labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from omruntime.abc import label_set

__all__ = ["ENOUGH", "address_of", "labels_of", "resources_for", "resources_of", "shown"]

_LABEL = "label:"
ENOUGH = 1e9
"""How much of a label's resource a worker has: it says what the worker is, and limits nothing."""
_SCHEMES = {"dask": "tcp", "http": "tcp", "tcp": "tcp", "tls": "tls", "dask+tcp": "tcp", "dask+tls": "tls"}


def address_of(url: str) -> str:
    """Return a URL of ours as Dask has it; other schemes are Dask's own business."""
    scheme, _, rest = url.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}://{rest.rstrip('/')}"


def shown(address: str) -> str:
    """Return Dask's address of a scheduler as a URL of ours."""
    return f"dask+{address}"


def resources_for(label: str) -> dict[str, float]:
    """Return what a call requires of its worker."""
    return {f"{_LABEL}{each}": 1 for each in sorted(label_set(label))}


def resources_of(labels: Iterable[str]) -> dict[str, float]:
    """Return what a worker of these labels offers."""
    return {f"{_LABEL}{each}": ENOUGH for each in labels}


def labels_of(resources: Mapping[str, float]) -> list[str]:
    """Return the labels of a worker by what it offers."""
    return sorted(name.removeprefix(_LABEL) for name in resources if name.startswith(_LABEL))
