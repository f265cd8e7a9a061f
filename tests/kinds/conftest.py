"""The same stores of objects as the tests of stores have."""

from __future__ import annotations

from tests.store.conftest import datasets, jobs, models, scripts, shelf, store

__all__ = ["datasets", "jobs", "models", "scripts", "shelf", "store"]
