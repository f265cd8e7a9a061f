"""From what a user calls to what goes to the engine: the checks, the envelope, the request in the ledger."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from omruntime.abc import Call, Capability
from omruntime.client.inspection import labels_there
from omruntime.client.requirements import Requirements, normal_label
from omruntime.client.result import AsyncResult
from omruntime.errors import NoSuchLabel
from omruntime.ledger import Ledger, Request, new_id
from omruntime.store import Metadata, ObjectStore
from omruntime.wire import PYTHON, WIRE, CallHeader, pack_value, seal

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["data_argument", "submit"]

DEFAULT_LABEL = "default"


def data_argument(value: Any, datasets: ObjectStore) -> list[Any] | None:
    """Return how X or Y travels: ``['name', name]`` for what is stored, ``['value', value]`` for data.

    Raises:
        ObjectNotFound: there is no dataset of this name.
        SelectorError: the dataset has no such column.
    """
    if value is None:
        return None
    if isinstance(value, Metadata):
        value = value.name
    if isinstance(value, str):
        datasets.check(value)
        return ["name", value]
    return ["value", value]


def submit(runtime: OmegaRuntime, kind: str, name: str, action: str, request: dict[str, Any]) -> AsyncResult:
    """Send one action to the runtime's engine, and return its handle without waiting for the task.

    Raises:
        SerializationError: an argument cannot be pickled.
        NoSuchLabel: no worker has the label, and the call said ``on_missing='error'``.
        UnsupportedCapability: the engine cannot do what the call requires.
        BackendUnavailable: the engine does not answer.
    """
    om, engine = runtime.om, runtime.engine
    wanted = _requirements(runtime, kind, name)
    label = wanted.label or DEFAULT_LABEL
    backend = engine.backend
    if wanted.timeout is not None:
        engine.need(
            Capability.TIME_LIMIT, f"require(timeout={wanted.timeout}) was refused, and nothing submitted: it"
        )
    if wanted.on_missing == "error":
        _check_label(label, runtime)
    store, task = om.store, new_id()
    parts, inline = pack_value(request, store, task, "a", "an argument")
    header = CallHeader(
        wire=WIRE,
        python=PYTHON,
        id=task,
        store_id=store.id,
        store_url=store.url,
        bucket=om.bucket,
        kind=kind,
        name=name,
        action=action,
        label=label,
        user=engine.auth.user,
        submitted=time.time(),
        parts=parts,
        retries=wanted.retries,
        retry_delay=wanted.retry_delay or 0.0,
        timeout=wanted.timeout,
    )
    call = Call(id=task, name=header.title, label=label, payload=(seal(header, engine.auth), *inline))
    future = _send(call, header, backend, om.session.ledger)
    return AsyncResult(task, om.session, runtime, future)


def _send(call: Call, header: CallHeader, backend: Any, ledger: Ledger) -> Future[bytes]:
    """Record the request and send the call; where the worker's host is this process it does both at once."""
    request = (call.id, _request(call, header, backend))
    embedded = getattr(backend, "submit_own", None)
    if embedded is not None:
        own: Future[bytes] = embedded(call, header, ledger.request_group([request]))
        return own
    ledger.submit([request])
    try:
        future: Future[bytes] = backend.submit(call)
    except BaseException:
        # It was never sent: nothing of it may look like a task that waits.
        ledger.remove_requests([call.id])
        raise
    return future


def _requirements(runtime: OmegaRuntime, kind: str, name: str) -> Requirements:
    """Merge what the call, the runtime and the object require; the object must exist.

    Raises:
        ObjectNotFound: it does not.
    """
    wanted = runtime.requirements
    if kind in ("model", "script"):
        objects = runtime.om.models if kind == "model" else runtime.om.scripts
        stored = objects.peek(name).record.attributes.get("require")
        if isinstance(stored, dict) and stored.get("label"):
            wanted = wanted.over(Requirements(label=normal_label(str(stored["label"]))))
    return wanted


def _request(call: Call, header: CallHeader, backend: Any) -> Request:
    return Request(
        name=call.name,
        label=call.label,
        payload=[bytes(buffer) for buffer in call.payload],
        submitted=header.submitted,
        engine=backend.address,
        runtime=backend.lease,
        incarnation=backend.incarnation(),
        retries=header.retries,
        blobs=[part.blob for part in header.parts if part.blob],
    )


def _check_label(label: str, runtime: OmegaRuntime) -> None:
    there = labels_there(label, runtime)
    if there is not None:
        raise NoSuchLabel(
            f"no worker has the label {label!r}; there are: {there}. Start one that has it, or use on_missing='wait'"
        )
