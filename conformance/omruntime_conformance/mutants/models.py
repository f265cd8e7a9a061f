"""Wrong runtimes for the rules of models."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("MOD-007")
def keywords_are_dropped(patch: Patch) -> None:
    """The estimator's method gets no keyword arguments."""

    @patch("omruntime.client.proxies:OmegaModelProxy._act")
    def act(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args[:-1], {})
