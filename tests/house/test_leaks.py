"""The leak check sees what a test leaves behind, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.leaks import leaked, running


def test_a_thread_that_goes_on_is_named() -> None:
    gate = threading.Event()
    before = running()
    thread = threading.Thread(target=gate.wait, name="left-behind")
    thread.start()
    found = leaked(before, patience=0.05)
    gate.set()
    thread.join()
    assert found == ["thread 'left-behind'"]
    assert leaked(before) == []


def test_a_child_that_goes_on_is_named() -> None:
    before = running()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = leaked(before, patience=0.05)
        child.communicate(b"\n")
    assert len(found) == 1
    assert found[0].startswith(f"process {child.pid}: ")
    assert "input()" in found[0]
    assert leaked(before) == []


def test_what_is_on_its_way_out_is_waited_for() -> None:
    before = running()
    pool = ThreadPoolExecutor(1)
    pool.submit(threading.Event().is_set).result()
    pool.shutdown(wait=False)
    assert leaked(before) == []
