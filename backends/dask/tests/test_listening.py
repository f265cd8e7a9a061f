"""Who reaches a Dask scheduler or worker can run code there: one machine's own are reached from no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from omruntime_dask.testing import DaskHarness

LISTENING = """
import json, sys
import psutil
from omruntime import Omega
from omruntime_dask import OmegaRuntimeDask

with Omega("sqlite:///store", OmegaRuntimeDask(**json.loads(sys.argv[1]))) as om:
    top = psutil.Process(int(sys.argv[2]) or None)
    places = [place for each in [top, *top.children(recursive=True)] for place in each.net_connections("inet")]
    print(json.dumps([place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN]))
"""


def _listening(directory: Path, of: int = 0, **options: object) -> list[str]:
    """Return the addresses at which a process and what it has started listen, by default those of a client."""
    command = [sys.executable, "-c", LISTENING, json.dumps(options), str(of)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory).stdout
    places: list[str] = json.loads(said)
    return places


def test_a_private_scheduler_and_its_worker_listen_on_this_machine_only(tmp_path: Path) -> None:
    places = _listening(tmp_path, workers=1)
    assert len(places) >= 2
    assert set(places) == {"127.0.0.1"}


def test_a_worker_of_a_scheduler_on_this_machine_listens_there_only(tmp_path: Path) -> None:
    with DaskHarness().cluster({"default": 1}, {}) as url:
        places = _listening(tmp_path, of=os.getpid(), url=url)
    assert len(places) >= 2
    assert set(places) == {"127.0.0.1"}
