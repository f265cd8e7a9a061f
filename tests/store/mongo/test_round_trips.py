"""How often a server is asked, which is what most of the time goes to where it is far away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import monitoring

from omruntime.abc import Space, Store
from omruntime.canvas.plan import Node, Plan
from omruntime.canvas.records import CanvasRecords
from omruntime.ledger import Ledger, Request, new_id, step_id
from omruntime.store import open_store
from tests.house.tree import ROOT as TREE
from tests.store.mongo.counted import LOG_VARIABLE, Listener

EVERY_PROCESS = "from tests.store.mongo.counted import listen\nlisten()\n"
PROGRAM = "import sys, pathlib, tests.store.mongo.counted as it; it.main(sys.argv[1], pathlib.Path(sys.argv[2]))"


@pytest.fixture(scope="module")
def asked(mongodb: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Return, for each kind of call, the commands of a warm one, without the lease's and the steward's."""
    from tests.stores import STORES

    place = tmp_path_factory.mktemp("asked")
    (place / "sitecustomize.py").write_text(EVERY_PROCESS)
    log = place / "log"
    log.touch()
    environment = {**os.environ, LOG_VARIABLE: str(log), "PYTHONPATH": f"{place}{os.pathsep}{TREE}"}
    with STORES["mongodb"](place, mongodb) as make:  # type: ignore[arg-type]
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, make("counted"), str(log)],
            cwd=TREE, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found: dict[str, list[list[dict[str, Any]]]] = {}
        for each in map(json.loads, run.stdout.splitlines()):
            own = [command for command in each["commands"] if _is_of(command, each["task"])]
            found.setdefault(each["what"], []).append(own)
        # Now and then something else gets ready at the same time, as a runner in reserve does.
        yield {what: min(calls, key=len) for what, calls in found.items()}


def _is_of(command: dict[str, Any], task: str) -> bool:
    """Tell whether a command is about a task or about objects, and is none of the lease or the steward."""
    return bool(command["collection"] != "ledger" or any(task in id for id in command["ids"]))


def names(commands: list[dict[str, Any]]) -> list[str]:
    return [f"{each['name']} {each['collection']}" for each in commands]


def test_a_durable_no_op_takes_four_round_trips(asked: dict[str, list[dict[str, Any]]]) -> None:
    # Who asked has the value after four; the delete tidies up, for many tasks at once where there are many.
    assert Counter(names(asked["script"])) == {"find objects": 2, "insert ledger": 2, "delete ledger": 1}


def test_a_warm_model_is_looked_up_once_where_it_predicts(asked: dict[str, list[dict[str, Any]]]) -> None:
    looked_up = [each for each in asked["predict"] if "models/" in str(each["ids"])]
    # Once by who asks, for the label that is stored with it, and once by the runner, for its version.
    assert names(looked_up) == ["find objects"] * 2
    assert names(asked["predict"]).count("insert ledger") == 2


class _Counting(Listener):
    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(event.command_name)


@pytest.fixture
def counting() -> Iterator[_Counting]:
    listener = _Counting()
    listeners = monitoring._LISTENERS.command_listeners
    listeners.append(listener)
    yield listener
    listeners.remove(listener)


def test_ten_thousand_steps_of_a_canvas_are_submitted_in_at_most_twenty_batches(
    counting: _Counting, store_url: str
) -> None:
    store: Store = open_store(store_url)
    canvas = new_id()
    request = Request(name="script.run x", label="default", payload=[bytes(500)], submitted=0.0, canvas=canvas)
    requests = [(step_id(canvas, number), request) for number in range(10_000)]
    counting.commands.clear()
    CanvasRecords(Ledger(store)).commit(canvas, Plan([Node("parallel", [10_000])]), requests)
    assert 1 < len(counting.commands) <= 20
    assert set(counting.commands) == {"insert"}
    assert len(store.scan(Space.LEDGER, "request:")) == 10_000
    store.close()


def test_many_tasks_are_looked_up_in_one_question_where_the_server_has_an_index_for_that(
    counting: _Counting, store: Store
) -> None:
    store.scan(Space.LEDGER, "")
    many = store._connection.server.indexes_many  # type: ignore[attr-defined]
    counting.commands.clear()
    store.get(Space.LEDGER, [f"end:{number}:1" for number in range(100)])
    assert counting.commands == ["find"] * (1 if many else 100)
