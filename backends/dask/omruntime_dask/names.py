"""Addresses of schedulers, the keys of tasks, and the resources that stand for labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from omruntime.abc import label_set
from omruntime.errors import BackendUnavailable
from omruntime.masking import mask

__all__ = ["ENOUGH", "address_of", "is_key", "key_of", "labels_of", "resources_for", "resources_of", "shown"]

_LABEL = "label:"
ENOUGH = 1e9
"""How much of a label's resource a worker has: it says what the worker is, and limits nothing."""
_SCHEMES = {"dask": "tcp", "http": "tcp", "tcp": "tcp", "tls": "tls", "dask+tcp": "tcp", "dask+tls": "tls"}
_PORT = 8786
_LOOPBACK = "127.0.0.1"


def address_of(url: str) -> str:
    """Return a URL of ours as Dask has it, the same for all that name the same place; other schemes are Dask's.

    Raises:
        BackendUnavailable: it cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "dask+file":
        return address_of(_written(rest))
    if scheme not in _SCHEMES:
        if not separator or scheme.startswith("dask+") or scheme == "https":
            raise BackendUnavailable(f"{mask(url)} is no address of a Dask scheduler; say {_EXAMPLES}")
        return url.rstrip("/")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise BackendUnavailable(f"the address {mask(url)} cannot be read: {exc}; say {_EXAMPLES}") from None
    if not host or port == 0:
        raise BackendUnavailable(f"the address {mask(url)} has no {'host' if not host else 'port'}; say {_EXAMPLES}")
    place = _LOOPBACK if host == "localhost" else f"[{host}]" if ":" in host else host
    return f"{_SCHEMES[scheme]}://{place}:{port or _PORT}"


_EXAMPLES = f"tcp://host:{_PORT}, tls://host:{_PORT} or dask://host:{_PORT}"


def _written(path: str) -> str:
    """Return the address that a scheduler has written into its file."""
    try:
        return str(json.loads(Path(unquote(path)).read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise BackendUnavailable(
            f"no address of a Dask scheduler is in the file {path} ({exc}); it is what 'dask scheduler "
            f"--scheduler-file {path}' writes, and is named with its whole path: dask+file:///shared/scheduler.json"
        ) from exc


def shown(address: str) -> str:
    """Return Dask's address of a scheduler as a URL of ours."""
    return f"dask+{address}"


def key_of(name: str) -> str:
    """Return a key for a call of a name like ``model.fit clf``: each sending of it has its own.

    A scheduler has statistics for each beginning of keys, up to the first ``-`` with no plain word behind it, and
    never forgets them. So the key begins with the action, of which there are few: ``model.fit-(clf)-...``.
    """
    action, _, of = name.partition(" ")
    return f"{action}-({of})-{uuid4().hex}"


def is_key(key: object) -> bool:
    """Tell whether a task's key is one of ours."""
    return isinstance(key, str) and _KEY_END.search(key) is not None


_KEY_END = re.compile(r"-\(.*\)-[0-9a-f]{32}$", re.DOTALL)


def resources_for(label: str) -> dict[str, float]:
    """Return what a call requires of its worker."""
    return {f"{_LABEL}{each}": 1 for each in sorted(label_set(label))}


def resources_of(labels: Iterable[str]) -> dict[str, float]:
    """Return what a worker of these labels offers."""
    return {f"{_LABEL}{each}": ENOUGH for each in labels}


def labels_of(resources: Mapping[str, float]) -> list[str]:
    """Return the labels of a worker by what it offers."""
    return sorted(name.removeprefix(_LABEL) for name in resources if name.startswith(_LABEL))
