"""What somebody else who reaches the scheduler can do with our tasks: nothing.

Whoever reaches a Dask scheduler can run code of his own in its workers, and read what they can read: that is Dask's,
and the network in front of it is the platform's business, or TLS with certificates for all.

What is proved here lies past that: nothing that comes in by our own entry point is believed unless it is signed,
nothing of the users is left in the cluster's memory, and the keys are in nothing that Dask shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from omruntime_dask import OmegaRuntimeDask
from omruntime_dask.backend import DaskBackend
from omruntime_dask.carried import bringing
from omruntime_dask.names import resources_for
from tests.cluster import AUTH, World, eventually

from omruntime import Auth, Omega
from omruntime.abc import Call, pack_call, unpack_call
from omruntime.errors import SignatureError

SECRET = "a word of the user's that must not be seen"


@pytest.fixture
def somebody(world: World, om: Omega) -> Iterator[Client]:
    """A Dask client of somebody else, on a cluster that works."""
    world.worker(OMRUNTIME_STORE=om.store.url)
    eventually(om.runtime.labels, "the worker")
    with Client(world.tcp, set_as_default=False) as client:
        yield client


def deliver(client: Client, packed: bytes) -> Exception | None:
    """Have a worker of ours take something; return what it says to that."""
    work, resources = bringing([packed], ["theirs"]), resources_for("default")
    (task,) = client.map(*work, key=["theirs"], resources=resources, pure=False)
    found = task.exception(60)
    task.release()
    eventually(lambda: not client.futures, "that the task is forgotten")
    return found  # type: ignore[no-any-return]


def caught(om: Omega, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Any]:
    """Return a call that was sent, as somebody on the network sees it, and the handle of its task."""
    seen: list[bytes] = []
    submit = DaskBackend.submit

    def seen_submit(self: DaskBackend, call: Call) -> Any:
        seen.append(pack_call(call))
        return submit(self, call)

    monkeypatch.setattr(DaskBackend, "submit", seen_submit)
    handle = om.runtime.script("echo").run(SECRET)
    return seen[0], handle


@pytest.mark.parametrize("packed", [b"", b"garbage", b"\x80\x05N.", pack_call(Call("t", "n", "default", (b"x",)))])
def test_garbage_is_refused_and_the_worker_lives(om: Omega, somebody: Client, packed: bytes) -> None:
    refused = deliver(somebody, packed)
    assert isinstance(refused, RuntimeError)
    assert refused.args[0] == "SignatureError"
    assert om.runtime.script("echo").run(2).get(60)["result"] == 2


def test_what_is_no_bytes_at_all_is_refused(om: Omega, somebody: Client) -> None:
    assert deliver(somebody, 17) is not None  # type: ignore[arg-type]
    assert om.runtime.script("echo").run(2).get(60)["result"] == 2


def test_an_altered_call_is_refused(om: Omega, somebody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, handle = caught(om, monkeypatch)
    assert handle.get(60)["result"] == SECRET
    call = unpack_call(packed)
    for number, buffer in enumerate(call.payload):
        changed = bytearray(buffer)
        changed[len(changed) // 2] ^= 1
        buffers = (*call.payload[:number], bytes(changed), *call.payload[number + 1 :])
        refused = deliver(somebody, pack_call(Call(call.id, call.name, call.label, buffers)))
        assert isinstance(refused, RuntimeError)
        assert refused.args[0] in ("SignatureError", "VersionMismatch")


def test_a_replay_runs_nothing(om: Omega, somebody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, handle = caught(om, monkeypatch)
    value, state = handle.get(60), om.session.ledger.state(handle.id)
    assert deliver(somebody, packed) is None
    assert (handle.get(60), om.session.ledger.state(handle.id).claim) == (value, state.claim)


def test_a_forged_call_is_refused(world: World, om: Omega, somebody: Client) -> None:
    other = Auth("mallory", "a key that the workers do not have, however long")
    with (
        Omega(om.store.url, OmegaRuntimeDask(world.url, auth=other), auth=other) as forger,
        pytest.raises(SignatureError),
    ):
        forger.runtime.ping(timeout=60)
    assert om.runtime.script("echo").run(2).get(60)["result"] == 2


def test_the_cluster_keeps_nothing_of_the_users_and_shows_no_key(world: World, om: Omega, somebody: Client) -> None:
    assert om.runtime.script("echo").run(SECRET).get(60)["result"] == SECRET
    eventually(lambda: not om.runtime.backend.client.futures, "that the client has forgotten it")
    eventually(lambda: not somebody.run_on_scheduler(_tasks), "that the scheduler has forgotten it")
    shown = [
        *somebody.run(_shown).values(),
        somebody.run_on_scheduler(_events),
        repr(somebody.scheduler_info(n_workers=-1)),
        world.said("scheduler"),
        world.said("worker"),
    ]
    for text in shown:
        assert AUTH.secret() not in text
        assert SECRET not in text


def _tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def _events(dask_scheduler: Any) -> str:
    return repr({name: list(topic.events) for name, topic in dask_scheduler._broker._topics.items()})


def _shown(dask_worker: Any) -> str:
    """Return what a worker shows of itself: its data, tasks, metrics, settings and command line."""
    import dask

    line = Path("/proc/self/cmdline").read_text()
    values = [dict(dask_worker.data), dask_worker.state.tasks, dask_worker.metrics, dask.config.config, line]
    return repr(values)
