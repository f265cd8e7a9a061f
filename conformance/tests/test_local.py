from __future__ import annotations

from omruntime_conformance import RuntimeConformance
from omruntime_conformance.local import LocalHarness


class TestLocal(RuntimeConformance):
    harness = LocalHarness
