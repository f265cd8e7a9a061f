"""Logins of stores, as tasks and everybody else see them: what holds on every engine."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omruntime_conformance import NotExercised
from sklearn.linear_model import LinearRegression

from omruntime import Omega, virtualobj
from omruntime.abc import Space
from tests.stores import real_mongodb

__all__ = ["FULL", "PASSWORD", "environment_has_no_login", "store_with_a_password", "tasks_reach_it"]

# Every process of tests looks through all processes there are for its own.
PASSWORD = f"pa55-w0rd-{secrets.token_hex(8)}"
FULL = f"mongodb://ann:{PASSWORD}@127.0.0.1:1/db"
PLAIN = "mongodb://127.0.0.1:1/db"
LIMIT = 60.0
NOTEBOOK = """
from omruntime import Omega
with Omega() as om:
    print(om.datasets.get("given"))
    om.datasets.put(om.runtime.result("{handle}").get(timeout=60)["args"], "seen by a notebook")
    print(repr(om), om.store.url)
"""


@virtualobj
def sees(data: Any = None, **kwargs: Any) -> Any:
    """Return what a task finds of the login of a store, which itself must not get into its result, and elsewhere."""
    import hashlib
    import os
    from pathlib import Path

    from omruntime.logins import login_for

    found = hashlib.sha256(login_for(data).encode()).hexdigest()
    return {"login": found, "environment": dict(os.environ), "first": Path("/proc/self/environ").read_text()}


@virtualobj
def opens(data: Any = None, om: Any = None, configured: bool = False, **kwargs: Any) -> Any:
    """Return what a task reads of its store in each way there is, the first argument being a handle."""
    from omruntime import Omega

    found = [om.datasets.get("given")]
    for url in (om.store.url, *([None] if configured else [])):
        with Omega(url) as own:
            found.append(own.datasets.get("given"))
    nested = om.runtime.script("sees").run(om.store.url).get(timeout=60)["result"]["login"]
    return found, nested, data.get(timeout=60)["result"]["login"]


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def environment_has_no_login(om: Omega) -> None:
    """Hold that tasks find the login of ``FULL``, which ``OMRUNTIME_STORE`` was, and that no variable has it."""
    om.scripts.put(sees, "sees")
    seen = om.runtime.script("sees").run(PLAIN).get(timeout=LIMIT)["result"]
    assert seen["environment"]["OMRUNTIME_STORE"] == PLAIN
    assert seen["login"] == _digest(FULL)
    assert PASSWORD not in str(seen)
    assert processes_with_the_password() == []


def processes_with_the_password(besides: Sequence[int] = ()) -> list[str]:
    """Return the commands of processes that have it in arguments or environment, without this one and ``besides``."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) not in (os.getpid(), *besides):
            try:
                command = (place / "cmdline").read_text(errors="replace")
                told = command + (place / "environ").read_text(errors="replace")
            except OSError:
                # It has ended meanwhile, or is another user's.
                continue
            if PASSWORD in told:
                found.append(command.replace("\0", " "))
    return found


@contextmanager
def store_with_a_password() -> Iterator[str]:
    """Give the URL of a store in a real MongoDB that is logged in to with the password."""
    with real_mongodb() as server:
        try:
            if isinstance(server, NotExercised):
                raise server
            yield server.url("logins", user="ann", password=PASSWORD)
        except NotExercised as exc:
            pytest.skip(f"not exercised: {exc}")


def tasks_reach_it(om: Omega, full: str, *, configured: bool = False, besides: Sequence[int] = ()) -> None:
    """Hold that what runs on an Omega reaches its store, and that the password is in no record, result or process.

    Args:
        om: the Omega, on the store of `store_with_a_password`.
        full: URL of that.
        configured: it is what ``OMRUNTIME_STORE`` says where tasks run.
        besides: processes that were given it by a variable.
    """
    om.datasets.put("given", "given")
    om.datasets.put(pd.DataFrame({"x": [1.0, 2.0], "y": [2.0, 4.0]}), "frame")
    om.models.put(LinearRegression(), "line")
    om.scripts.put(sees, "sees")
    om.scripts.put(opens, "opens")

    assert om.runtime.model("line").fit("frame[x]", "frame[y]").get(timeout=LIMIT).name == "line"
    seen = om.runtime.script("sees").run(om.store.url)
    opened = om.runtime.script("opens").run(seen, configured=configured)
    assert opened.get(timeout=LIMIT)["result"] == (["given"] * (2 + configured), _digest(full), _digest(full))
    om.jobs.create(NOTEBOOK.format(handle=seen.id), "notebook")
    copy = om.runtime.job("notebook").run().get(timeout=LIMIT)
    assert om.datasets.get("seen by a notebook") == [om.store.url]

    assert processes_with_the_password(besides) == []
    assert seen.get()["result"]["login"] == _digest(full)
    shown = [om, om.store, om.runtime, om.runtime.workers(), seen.get(), opened.logs(), om.jobs.get(copy.name)]
    assert PASSWORD not in str(shown) + repr(shown)
    for key, value in ((k, v) for space in Space for k, v in om.store.scan(space, "")):
        assert PASSWORD.encode() not in key.encode() + value
    for blob in om.store.blobs():
        assert PASSWORD.encode() not in bytes(om.store.read_blob(blob.name))
