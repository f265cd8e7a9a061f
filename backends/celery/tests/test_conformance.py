"""The whole suite on Celery's workers, with a Redis that remembers nothing."""

from __future__ import annotations

from omruntime_celery.testing import CeleryHarness
from omruntime_conformance import RuntimeConformance


class TestCelery(RuntimeConformance):
    harness = CeleryHarness
