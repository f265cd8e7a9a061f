"""Wrong runtimes for the rules of plug-ins."""

from __future__ import annotations

import contextlib
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("PLG-001")
def all_engines_are_imported(patch: Patch) -> None:
    """Every installed engine is imported, and the one that is asked for is taken."""

    @patch("omruntime.plugins:load_backend_class")
    def load_backend_class(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.plugins import installed_backends

        for entries in installed_backends().values():
            for entry in entries:
                with contextlib.suppress(ImportError):
                    entry.load()
        return wrapped(*args, **kwargs)


@mutant("PLG-002")
def the_last_claimant_wins(patch: Patch) -> None:
    """Of two packages that claim one name, the one that is listed last is taken."""

    @patch("omruntime.plugins:installed_backends")
    def installed_backends(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return {name: entries[-1:] for name, entries in wrapped().items()}


@mutant("PLG-002")
def a_broken_engine_raises_as_it_is(patch: Patch) -> None:
    """What importing an engine raises comes to the user as it is."""

    @patch("omruntime.plugins:_load")
    def load(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import BackendNotInstalled

        try:
            return wrapped(*args, **kwargs)
        except BackendNotInstalled as exc:
            raise exc.__cause__ or exc from None


@mutant("PLG-003")
def the_address_tells_the_password(patch: Patch) -> None:
    """The engine's address is told with the password that it was opened with."""

    @patch("omruntime.local.backend:LocalBackend.__init__")
    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        wrapped(*args, **kwargs)
        instance.address = f"local://user:sesame@{instance.lease}"
