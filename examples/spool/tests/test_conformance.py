from __future__ import annotations

from omruntime_conformance import RuntimeConformance
from omruntime_spool.testing import SpoolHarness


class TestSpool(RuntimeConformance):
    harness = SpoolHarness
