"""What the entry point names: the version of the interface, and the backend, imported when it is asked for."""

from omruntime.plugins import hookimpl

api_version = 1


@hookimpl
def omruntime_backend() -> object:
    """Return the Backend class."""
    from omruntime_spool.backend import SpoolBackend

    return SpoolBackend
