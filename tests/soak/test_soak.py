"""A short soak; `python -m benchmarks.soak` is the long one."""

from __future__ import annotations

import pytest

from benchmarks.soak import soak
from omruntime import Omega, OmegaRuntimeLocal


@pytest.mark.thorough
def test_nothing_is_lost_wrong_or_done_twice_while_workers_are_killed(store_url: str) -> None:
    with Omega(store_url, OmegaRuntimeLocal(workers=2)) as om:
        figures = soak(om, tasks=200, canvases=10, fits=5, every=0.1, seed=7)
    assert not figures.wrong, str(figures)
    assert figures.kills
