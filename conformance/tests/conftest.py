"""What pytester needs for tests that run the suite on engines made for them."""

from __future__ import annotations

pytest_plugins = ["pytester"]
