"""What Ray and our actors log is in Ray's logs, and not in the terminal of whoever runs a program."""

from __future__ import annotations

from pathlib import Path

import pytest
from omruntime_ray.testing import RayServer
from tests.ray_world import program

_FAILS = """
import sys
from omruntime import Omega, virtualobj
from omruntime_ray import OmegaRuntimeRay

@virtualobj
def divide(data=None, **kwargs):
    print("said by a task")
    return 1 / data

url, store, end = sys.argv[1:]
om = Omega(store, OmegaRuntimeRay(url or None, workers={"default": 1}))
om.scripts.put(divide, "divide")
task = om.runtime.script("divide").run(0)
try:
    task.get(timeout=60)
except ZeroDivisionError as exc:
    print(task.status, exc, om.runtime.script("divide").run(2).get(timeout=60)["result"])
if end == "close":
    om.close()
if end == "raise":
    sys.exit("the end")
"""


@pytest.mark.parametrize(
    ("way", "end"), [("private", "raise"), ("driver", "close"), ("driver", "raise"), ("client", "raise")]
)
def test_a_program_s_terminal_has_nothing_of_ray_s(
    way: str, end: str, server: RayServer, store_url: str, tmp_path: Path
) -> None:
    url = {"private": "", "driver": f"{server.url}/quiet", "client": f"{server.client_url}/quiet"}[way]
    said = program(_FAILS, url, store_url, end, place=tmp_path)
    assert said.stderr == ("the end\n" if end == "raise" else "")
    assert (said.returncode, said.stdout) == (int(end == "raise"), "FAILURE division by zero 0.5\n")
