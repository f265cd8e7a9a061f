from __future__ import annotations

from omruntime_conformance import RuntimeConformance
from omruntime_dask.testing import DaskHarness


class TestDask(RuntimeConformance):
    harness = DaskHarness
