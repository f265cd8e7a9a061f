"""The process that keeps a private Ray: it starts it, and ends it when its client is gone or wants it no more.

Run as a program: it is told by the channel whose number is the first argument what to do; its life is tied to the
pipe whose number is the second; Ray's files are in the directory that is the third.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any, cast

import ray

from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime.worker.channel import Channel
from omruntime_ray.connection import without_paths
from omruntime_ray.reach import ACTING, START_LIMIT
from omruntime_ray.station import Wanted, station_class

__all__: list[str] = []


def _begin(wanted: Wanted, directory: Path) -> tuple[Any, str]:
    """Return the handle of the station, which keeps it, and its door."""
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            job_config=without_paths(),
            _temp_dir=str(directory),
        )
        actor = station_class().options(max_concurrency=ACTING).remote(wanted)
        return actor, ray.get(actor.door.remote(), timeout=START_LIMIT)
    except Exception as exc:
        raise BackendUnavailable(f"no Ray can be had on this machine: {exc}") from exc


def main() -> None:
    """Keep a Ray."""
    life, directory = int(sys.argv[2]), Path(sys.argv[3])
    for inherited in (life, int(sys.argv[1])):
        os.set_inheritable(inherited, False)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    received = channel.receive()
    try:
        if received is not None:
            actor, door = _begin(cast(Wanted, received[0].data), directory)
            channel.send("ready", {"door": door})
            os.read(life, 1)
            del actor
    except OmegaRuntimeError as exc:
        channel.send("failed", {"kind": type(exc).__name__, "error": str(exc)})
    except OSError:
        # The client is gone.
        pass
    finally:
        ray.shutdown()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
