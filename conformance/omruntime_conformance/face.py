"""The class of rules that a job of the command runs: pytest collects it from here."""

from __future__ import annotations

import os

from omruntime_conformance.target import TARGET, class_of

__all__ = ["TestEngine"]

# It may have a password in it, which nothing that is started from here needs to see.
TestEngine = class_of(os.environ.pop(TARGET))
