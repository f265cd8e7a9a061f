from __future__ import annotations

from omruntime_conformance import RuntimeConformance
from omruntime_ray.testing import RayHarness


class TestRay(RuntimeConformance):
    harness = RayHarness
