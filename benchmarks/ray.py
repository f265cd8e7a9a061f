"""Our Ray beside Ray's own API (`@ray.remote` functions, `ray.get`) as it comes, on one Ray of two CPUs."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.clusters import flat_figures, opened, private
from benchmarks.engine import Goals, engine_figures, mapreduce_figure, small_figures
from benchmarks.report import Figure
from benchmarks.tasks import native_noop, native_total

__all__ = ["ray_figures"]

_GOALS = Goals(trip=0.8, bulk=1.0, into=2.0, out=2.0, predict=1.0)
_NEEDED = ("ray", "omruntime_ray")


class _Ray:
    """Ray as its users have it."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._remote: dict[Callable[..., Any], Any] = {}

    def _function(self, function: Callable[..., Any]) -> Any:
        if function not in self._remote:
            self._remote[function] = self._ray.remote(function)
        return self._remote[function]

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Submit a function."""
        sent = self._function(function).remote(*args)
        return lambda: self._ray.get(sent)

    def bulk(self, count: int) -> None:
        """Submit no-ops, and get them."""
        noop = self._function(native_noop)
        self._ray.get([noop.remote(1) for _ in range(count)])

    def mapreduce(self, count: int) -> Any:
        """Map no-ops, and add up what they return."""
        noop, total = self._function(native_noop), self._ray.remote(_total)
        return self._ray.get(total.remote(*[noop.remote(number) for number in range(count)]))


def _total(*values: Any) -> Any:
    return native_total(list(values))


def ray_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of Ray; none where it is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"ray: not exercised, since there is no {', '.join(missing)} here")
        return []
    import ray
    from omruntime_ray import OmegaRuntimeRay

    with ExitStack() as stack:
        address = stack.enter_context(_running(ray))
        native = _Ray(ray)
        om = stack.enter_context(opened(directory / "ray", OmegaRuntimeRay(address, workers=2)))
        figures = [
            *engine_figures(om, native, _GOALS, directory, quick),
            mapreduce_figure(om, native, 1.0, 2 if quick else 7),
            *flat_figures(om, quick),
        ]
        om.runtime.scale({"default": 0})
        # Inside a Ray that runs it has its own actor there.
        alone = stack.enter_context(opened(directory / "ray-private", OmegaRuntimeRay(workers=2)))
        figures += map(private, small_figures(alone, native, _GOALS, quick))
    return figures


@contextmanager
def _running(ray: Any) -> Iterator[str]:
    """Have a Ray in this process, as a user has, and its address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield f"ray+gcs://{ray.get_runtime_context().gcs_address}"
    finally:
        ray.shutdown()
