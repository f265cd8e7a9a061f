"""Finding the kind of an object, among the built-in ones and those of plug-ins."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from omruntime.abc.kind import Kind
from omruntime.errors import MissingExtra, SerializationError
from omruntime.plugins import KINDS, PROJECT, hookspec

__all__ = ["Registry", "load_kinds", "registry"]

_BUILT_IN = "omruntime.kinds.plugin"
_TAKES = {
    "scripts/": "a @virtualobj function or the path of a package, 'pkg://path'",
    "jobs/": "a notebook (an nbformat node); om.jobs.create(code, name) makes one of source text",
}


class _KindSpec:
    @hookspec
    def omruntime_kinds(self) -> list[Kind]:
        """Return the kinds of this plug-in."""
        raise NotImplementedError


@dataclass
class Registry:
    """The kinds there are, and why some are not there."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)

    def named(self, name: str) -> Kind:
        """Return the kind of this name.

        Raises:
            MissingExtra: no installed package has it, or the one that has cannot be imported.
        """
        kind = self.kinds.get(name)
        if kind is None:
            raise MissingExtra(
                f"objects of kind {name!r} cannot be read here: no installed package provides that kind"
                f"{self._excuse()}; install the one that stored it"
            )
        return kind

    def suitable(self, obj: object, prefix: str) -> Kind:
        """Return the kind that stores ``obj`` in the store of ``prefix``.

        Raises:
            SerializationError: there is none.
        """
        fitting = [kind for kind in self.kinds.values() if prefix in kind.prefixes and kind.supports(obj, prefix)]
        if not fitting:
            name = f"{type(obj).__module__}.{type(obj).__qualname__}"
            takes = _TAKES.get(prefix)
            raise SerializationError(
                f"{prefix} cannot hold an object of type {name}"
                + (f": it takes {takes}" if takes else "")
                + self._excuse(),
                type_name=name,
            )
        return max(fitting, key=lambda kind: kind.priority)

    def _excuse(self) -> str:
        if not self.broken:
            return ""
        told = "; ".join(f"{entry}: {type(exc).__name__}: {exc}" for entry, exc in sorted(self.broken.items()))
        return f" (plug-ins that cannot be loaded: {told})"


def load_kinds(entries: Iterable[EntryPoint]) -> Registry:
    """Load the kinds of these entry points; a plug-in that fails is noted, and harms no other.

    Of two plug-ins with a kind of the same name the first in the order of their entry names has it; the built-in ones
    come before all others.
    """
    found = Registry()
    built_in = EntryPoint("builtin", _BUILT_IN, KINDS)
    others = sorted((each for each in entries if each.value != _BUILT_IN), key=lambda each: each.name)
    for entry in (built_in, *others):
        try:
            kinds = _kinds_of(entry.load())
        except Exception as exc:  # noqa: BLE001 - whatever a plug-in raises is told when its kind is needed
            found.broken[entry.name] = exc
            continue
        for kind in kinds:
            found.kinds.setdefault(kind.name, kind)
    return found


def _kinds_of(plugin: Any) -> list[Kind]:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(_KindSpec)
    manager.register(plugin)
    kinds = [kind for each in manager.hook.omruntime_kinds() for kind in each]
    for kind in kinds:
        if not isinstance(kind, Kind):
            raise TypeError(f"omruntime_kinds() returns {kind!r}, which is no Kind")
    return kinds


_lock = threading.Lock()
_loaded: list[Registry] = []


def registry() -> Registry:
    """Return the kinds of this environment, loaded at the first call."""
    with _lock:
        if not _loaded:
            _loaded.append(load_kinds(entry_points(group=KINDS)))
        return _loaded[0]
