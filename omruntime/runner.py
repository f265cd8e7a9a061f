"""The program of a runner: the one place where the worker's loop and the client's Omega are put together."""

from __future__ import annotations

import sys

from omruntime.client.inside import open_inside
from omruntime.worker.runner import serve

__all__ = ["main"]


def main() -> int:
    """Run tasks for the host at the other end of the socket whose number is the first argument."""
    return serve(int(sys.argv[1]), int(sys.argv[2]), open_inside)


if __name__ == "__main__":
    sys.exit(main())
