"""One process of the command: a session of pytest that runs the rules it is told, one after the other.

Messages are JSON objects over one connection. The job begins with ``{"ready": true}``. The command sends
``{"rule": id, "failed": [...], "broken": {...}}`` for each rule and, at the end, ``{}``; the job answers with
``{"opening": workers}`` when it starts a cluster, ``{"opening": ""}`` when that is there, and with
``{"outcome": {...}, "declared": [...], "broken": {...}}`` when the rule is over.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omruntime.masking import mask
from omruntime_conformance.clusters import Clusters
from omruntime_conformance.plugin import RECORDER
from omruntime_conformance.recorder import Recorder, rule_of
from omruntime_conformance.registry import Rule
from omruntime_conformance.target import TARGET

__all__ = ["main"]


class _Loop:
    """The plug-in that asks for rules instead of running all that were collected."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._target = target

    def _send(self, **message: Any) -> None:
        self._connection.send_bytes(json.dumps(message).encode())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run rule after rule until there is none."""
        functions = [item for item in session.items if isinstance(item, pytest.Function)]
        items = {rule.id: item for item in functions if (rule := rule_of(item)) is not None}
        recorder = session.config.stash.setdefault(RECORDER, Recorder())
        self._send(ready=True)
        while request := json.loads(self._connection.recv_bytes()):
            item = items[request["rule"]]
            face = recorder.face(item.cls)
            clusters = self._prepared(face.clusters, request)
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            (outcome,) = face.outcomes.pop(request["rule"])
            declared = [sorted(each.name for each in every) for every in clusters.declared]
            clusters.declared.clear()
            self._send(outcome=msgspec.to_builtins(outcome), declared=declared, broken=clusters.broken)
        return True

    def _prepared(self, clusters: Clusters, request: dict[str, Any]) -> Clusters:
        clusters.failed, clusters.broken = set(request["failed"]), dict(request["broken"])
        clusters.on_opening = lambda key: self._send(opening=key)
        clusters.again = self._again
        return clusters

    def _again(self, rule: Rule, test_id: str) -> str:
        return f"omruntime-conformance run '{mask(self._target)}' --rules {rule.id}"


def main(descriptor: int, place: Path) -> int:
    """Run the rules that come over the connection ``descriptor``, with ``place`` for files; return pytest's code."""
    target = os.environ[TARGET]
    with (place / "stacks.txt").open("w") as stacks:
        # For a hang that not even a signal's handler in Python gets through.
        faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
        (place / "pytest.ini").write_text("[pytest]\n")
        words = ["-c", str(place / "pytest.ini"), "-p", "no:cacheprovider", "--import-mode=importlib", "--tb=short"]
        words += ["--basetemp", str(place / "tmp"), "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        connection = Connection(descriptor)
        return pytest.main([*words, str(Path(__file__).with_name("face.py"))], [_Loop(connection, target)])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
