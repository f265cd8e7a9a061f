"""Tasks that say when they run and wait until they may go on; by named pipes, so that nobody looks at a clock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omruntime import AsyncResult, Omega, virtualobj

__all__ = ["Gate", "alive", "echo", "eventually", "fails", "held", "reads", "run", "shell", "value"]

PATIENCE = 30.0


class Gate:
    """Two named pipes: a task shows through the one that it has started, and waits at the other."""

    def __init__(self, place: Path, name: str = "gate") -> None:
        self.started, self.goes_on = str(place / f"{name}-started"), str(place / f"{name}-goes-on")
        for pipe in (self.started, self.goes_on):
            os.mkfifo(pipe)

    @property
    def arguments(self) -> dict[str, Any]:
        """What `held` needs to know."""
        return {"started": self.started, "goes_on": self.goes_on}

    def wait_for_start(self) -> int:
        """Wait until a task has started, and return its process id."""
        with open(self.started) as pipe:
            return int(pipe.read())

    def open(self) -> None:
        """Let the task that waits go on."""
        with open(self.goes_on, "w"):
            pass


def run(om: Omega, name: str, *args: object, require: dict[str, Any] | None = None, **kwargs: object) -> AsyncResult:
    """Run a script under requirements."""
    return om.runtime.require(**(require or {})).script(name).run(*args, **kwargs)


def value(handle: AsyncResult) -> object:
    """What a script returned."""
    return handle.get(60)["result"]


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds that nobody can be told of."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"never seen: {what}")


def alive(pid: int) -> bool:
    """Tell whether a process runs, and has not only been left by its parent unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@virtualobj
def echo(data: Any = None) -> Any:
    print("echo of", data)
    return data


@virtualobj
def held(data: Any = None, started: str = "", goes_on: str = "") -> Any:
    with open(started, "w") as pipe:
        pipe.write(str(os.getpid()))
    with open(goes_on) as pipe:
        pipe.read()
    return data


@virtualobj
def fails(data: Any = None) -> None:
    raise ValueError(data)


@virtualobj
def reads(data: Any = None) -> Any:
    """Return what another task returned."""
    return data.get(20)["result"]


@virtualobj
def shell(data: str = "") -> Any:
    """Run Python source in the process of the task; its value is what it leaves in ``answer``."""
    names: dict[str, Any] = {}
    exec(data, names)
    return names.get("answer")
