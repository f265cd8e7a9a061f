"""Plug-ins: found by entry point, loaded one by one and by name only, so that a broken one breaks nobody else."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from omruntime.errors import BackendNotInstalled, VersionMismatch
from omruntime.masking import mask

__all__ = [
    "BACKENDS",
    "KINDS",
    "PROJECT",
    "hookimpl",
    "hookspec",
    "installed_backends",
    "load_backend_class",
    "scheme_of",
]

PROJECT = "omruntime"
BACKENDS = "omruntime.backends"
"""Entry-point group of engines; an entry is named by the URL scheme up to ``+`` and names a plug-in module."""
KINDS = "omruntime.kinds"
"""Entry-point group of kinds of stored objects."""
BACKEND_API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

_OUR_DISTRIBUTIONS = {"celery": "omruntime-celery", "dask": "omruntime-dask", "ray": "omruntime-ray"}
_OUR_DISTRIBUTIONS |= dict.fromkeys(("http", "tcp", "tls"), "omruntime-dask")


class _BackendSpec:
    @hookspec(firstresult=True)
    def omruntime_backend(self) -> Any:
        """Return the Backend class; the engine is imported here, not when the plug-in module is."""


def scheme_of(url: str) -> str:
    """Return the name of the engine that a URL asks for: its scheme up to ``+``.

    Raises:
        ValueError: it is no URL.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise ValueError(
            f"{mask(url)!r} is no URL of an engine; say 'local://', 'dask://host:8786', 'ray://host:10001', ..."
        )
    return scheme.partition("+")[0]


def installed_backends() -> dict[str, list[EntryPoint]]:
    """Return the entry points of all installed engines by name, loading none of them."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=BACKENDS):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_backend_class(name: str) -> Any:
    """Load the Backend class that is registered under ``name``, and nothing else.

    Raises:
        BackendNotInstalled: nobody provides it, two packages do, or the one that does cannot be imported.
        VersionMismatch: it was written for another version of the backend interface.
    """
    entries = installed_backends()
    if name not in entries:
        raise BackendNotInstalled(_unknown(name, sorted(entries)))
    owners = sorted({_owner(entry) for entry in entries[name]})
    if len(owners) > 1:
        raise BackendNotInstalled(
            f"the engine {name!r} is claimed by {len(owners)} packages: {', '.join(owners)}; uninstall all but one"
        )
    return _load(name, owners[0])


def _load(name: str, owner: str) -> Any:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(_BackendSpec)
    try:
        manager.load_setuptools_entrypoints(BACKENDS, name=name)
        plugin = manager.get_plugin(name)
        version = getattr(plugin, "api_version", None)
        backend = manager.hook.omruntime_backend()
    except Exception as exc:
        # Whatever importing a plug-in raised: the user has to learn which package it was.
        raise BackendNotInstalled(
            f"the engine {name!r} is installed ({owner}) but cannot be imported: {type(exc).__name__}: {exc}; "
            f"reinstall it with: pip install --force-reinstall {owner.split(' ')[0]}"
        ) from exc
    if version != BACKEND_API_VERSION:
        raise VersionMismatch(
            f"the engine {name!r} ({owner}) is written for version {version} of the backend interface, this is "
            f"version {BACKEND_API_VERSION}; upgrade the older of omruntime and {owner.split(' ')[0]}"
        )
    return backend


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _unknown(name: str, known: list[str]) -> str:
    text = f"no installed package provides the engine {name!r}; installed: {', '.join(known) or 'none'}"
    if name in _OUR_DISTRIBUTIONS:
        return f"{text}. Install it with: pip install {_OUR_DISTRIBUTIONS[name]}"
    return f"{text}. 'omruntime backends' lists them; check the URL's scheme"
