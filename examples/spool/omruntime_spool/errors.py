"""What a file system raises, as omruntime says it."""

from omruntime.errors import BackendUnavailable

ERRORS = {OSError: (BackendUnavailable, "the spool directory cannot be used: {error}; is it there, and writable?")}
