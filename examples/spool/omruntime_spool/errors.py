"""What a file system raises, as omruntime says it."""

from __future__ import annotations

from omruntime.abc import translating
from omruntime.errors import BackendUnavailable

__all__ = ["translated"]

_TABLE = {OSError: (BackendUnavailable, "the spool directory cannot be used: {error}; see to its disk and rights")}

translated = translating(_TABLE)
