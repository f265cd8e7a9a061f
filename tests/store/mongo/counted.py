"""What an engine asks of its store, command by command: the program that `test_round_trips` runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from pymongo import monitoring
from sklearn.linear_model import LinearRegression

from omruntime import Omega, OmegaRuntimeLocal, virtualobj

LOG_VARIABLE = "OMRUNTIME_TEST_COMMANDS"
ROUNDS = 5
_HOUSEKEEPING = ("hello", "endSessions", "ping", "buildInfo")


class Listener(monitoring.CommandListener):
    """Appends each command that is sent to the log."""

    def __init__(self, log: str) -> None:
        self._log = log

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in _HOUSEKEEPING:
            return
        command: dict[str, Any] = dict(event.command)
        sent = (
            command.get("documents")
            or [each["q"] for each in command.get("deletes", [])]
            or [command.get("filter", {})]
        )
        line = {
            "name": event.command_name,
            "collection": command[event.command_name],
            "ids": [str(each.get("_id")) for each in sent],
        }
        with open(self._log, "a") as log:
            log.write(json.dumps(line) + "\n")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def listen() -> None:
    """Log what this process asks, where a log is named; every process of the program calls it as it starts."""
    if log := os.environ.get(LOG_VARIABLE):
        monitoring.register(Listener(log))


@virtualobj
def nothing(data: object = None) -> None:
    return None


def main(url: str, log: Path) -> None:
    """Make each kind of call some times, and print the commands of each."""

    def noted(what: str, call: Callable[[], Any]) -> None:
        for _ in range(ROUNDS):
            before = len(log.read_text())
            task = call()
            task.get()
            _settled(log, task.id)
            commands = [json.loads(line) for line in log.read_text()[before:].splitlines()]
            print(json.dumps({"what": what, "task": task.id, "commands": commands}))

    with Omega(url, OmegaRuntimeLocal(workers=1)) as om:
        om.scripts.put(nothing, "nothing")
        om.datasets.put(pd.DataFrame({"x": [1.0, 2.0], "y": [2.0, 4.0]}), "frame")
        om.models.put(LinearRegression(), "line")
        om.runtime.model("line").fit("frame[x]", "frame[y]").get()
        noted("script", om.runtime.script("nothing").run)
        noted("predict", lambda: om.runtime.model("line").predict("frame[x]"))


def _settled(log: Path, task: str) -> None:
    """Wait until the request of a task was deleted, which is the last that is ever asked about it."""
    deadline = time.monotonic() + 60
    while not any(task in line and '"delete"' in line for line in log.read_text().splitlines()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the request of {task} stays")
        time.sleep(0.01)
