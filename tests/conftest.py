"""What every test gets: a home of its own, the tests' key, and a look at what it leaves running."""

from __future__ import annotations

from tests.isolation import _module_leaves_nothing, _test_leaves_nothing, secluded, store_url

__all__ = ["_module_leaves_nothing", "_test_leaves_nothing", "secluded", "store_url"]
