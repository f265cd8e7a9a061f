"""Runners live as long as their client, and not one moment longer, whatever either of them is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omruntime.worker.process import Exit
from tests.worker.gates import Gate, alive, eventually

CLIENT = """
import os, sys
from omruntime import Omega, OmegaRuntimeLocal
from tests.worker.conftest import deploy

om = deploy(Omega(sys.argv[1], OmegaRuntimeLocal(workers=1)))
exec(sys.argv[2])
"""

CHILD = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
with open({started!r}, "w") as pipe:
    pipe.write(f"{{os.getpid()}}")
with open({goes_on!r}, "w") as pipe:
    pipe.write(f"{{child.pid}}")
"""


class Client:
    """Another client process, with a runner of its own."""

    def __init__(self, store: str, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, store, code], stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.end()


@pytest.mark.parametrize(
    "busy",
    [
        "child.wait()",
        "import ctypes; ctypes.PyDLL(None).sleep(3600)",
        "import re; re.match('(a*)*b', 'a' * 60)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); child.wait()",
    ],
    ids=["waits", "holds the GIL in C", "holds the GIL in a regular expression", "blocks all signals"],
)
def test_a_killed_client_takes_its_runners_and_their_children_along(
    store_url: str, tmp_path: Path, clients: list[Client], busy: str
) -> None:
    gate = Gate(tmp_path)
    task = CHILD.format(started=gate.started, goes_on=gate.goes_on) + busy
    client = Client(store_url, f"om.runtime.script('shell').run({task!r}).get()")
    clients.append(client)
    runner = gate.wait_for_start()
    with open(gate.goes_on) as pipe:
        child = int(pipe.read())
    assert alive(runner)
    assert alive(child)
    client.process.kill()
    eventually(lambda: not alive(runner) and not alive(child), "the end of the runner and its child")


def test_a_forked_child_of_the_client_does_not_keep_its_runners_alive(
    store_url: str, tmp_path: Path, clients: list[Client]
) -> None:
    pipe = tmp_path / "forked"
    os.mkfifo(pipe)
    code = f"""
om.runtime.ping()
if not os.fork():
    open({str(pipe)!r}).read()
    os._exit(0)
print(om.runtime.workers()[0].pid, flush=True)
input()
"""
    client = Client(store_url, code)
    clients.append(client)
    runner = int(client.line())
    client.process.kill()
    eventually(lambda: not alive(runner), "the end of the runner")
    # The child was there all the time: it reads until somebody has opened and closed the other end.
    pipe.open("w").close()


def test_the_exit_of_a_forked_child_ends_nothing_of_its_parent(store_url: str, clients: list[Client]) -> None:
    code = """
om.runtime.ping()
child = os.fork()
if not child:
    try:
        om.runtime.script("echo").run(1)
    except Exception as exc:
        print(type(exc).__name__, flush=True)
    om.close()
    sys.exit()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(om.runtime.script("echo").run("parent").get()["result"], flush=True)
"""
    client = Client(store_url, code)
    clients.append(client)
    assert [client.line() for _ in range(3)] == ["RuntimeClosed", "0", "parent"]
    assert client.process.wait(60) == 0


def test_a_runner_whose_host_is_gone_before_it_starts_ends_by_itself() -> None:
    channel, theirs = os.pipe()
    life, writer = os.pipe()
    os.close(writer)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "omruntime.runner", str(channel), str(life)],
        pass_fds=(channel, life),
        start_new_session=True,
    ) as runner:
        for each in (channel, theirs, life):
            os.close(each)
        assert runner.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("returncode", "text", "killed_by", "exitcode"),
    [
        (0, "exited with code 0", None, 0),
        (3, "exited with code 3", None, 3),
        (-9, "was killed by SIGKILL (as the kernel does where memory runs out)", 9, None),
        (-11, "was killed by SIGSEGV", 11, None),
        (-40, "was killed by signal 40", 40, None),
    ],
)
def test_how_a_process_ended(returncode: int, text: str, killed_by: int | None, exitcode: int | None) -> None:
    ended = Exit(returncode)
    assert (str(ended), ended.signal, ended.exitcode) == (text, killed_by, exitcode)
