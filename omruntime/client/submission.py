"""From what a user calls to what goes to the engine: the checks, the envelope, the request in the ledger."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from omruntime.abc import Buffer, Call, Capability
from omruntime.client.inspection import labels_there
from omruntime.client.recording import recorder_for
from omruntime.client.requirements import Requirements, normal_label
from omruntime.client.result import AsyncResult
from omruntime.errors import NoSuchLabel
from omruntime.ledger import Request, callback_id, new_id
from omruntime.store import Metadata, ObjectStore
from omruntime.wire import PYTHON, WIRE, CallHeader, Source, Upstream, pack_value, seal

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["Prepared", "data_argument", "request_of", "submit", "submit_now", "taken_of"]

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked call that is ready to be signed and sent."""

    header: CallHeader
    inline: list[Buffer]
    """The buffers of the arguments that travel in the envelope."""
    lacks_data: bool = False
    """Whether it needs X, and has to be handed it by a step before it."""

    def call(self, runtime: OmegaRuntime) -> Call:
        """Return it signed, as an engine takes it."""
        header = self.header
        payload = (seal(header, runtime.engine.auth), *self.inline)
        return Call(id=header.id, name=header.title, label=header.label, payload=payload)

    def with_fields(self, **fields: Any) -> Prepared:
        """Return it with other fields of its header."""
        return replace(self, header=msgspec.structs.replace(self.header, **fields))


def submit(runtime: OmegaRuntime, kind: str, name: str, action: str, request: dict[str, Any]) -> AsyncResult:
    """Send one action to the runtime's engine, or record it in a canvas; return its handle without waiting.

    Raises:
        SerializationError: an argument cannot be pickled.
        NoSuchLabel: no worker has the label, and the call said ``on_missing='error'``.
        UnsupportedCapability: the engine cannot do what the call requires.
        BackendUnavailable: the engine does not answer.
        CanvasError: the canvas takes no more steps.
    """
    recorder = recorder_for(runtime)
    if recorder is None:
        return submit_now(runtime, kind, name, action, request)
    labels = recorder.recording.labels
    return recorder.record(
        runtime, lambda view, step: _with_callback(view, _prepare(view, step, kind, name, action, request, labels))
    )


def submit_now(
    runtime: OmegaRuntime, kind: str, name: str, action: str, request: dict[str, Any], task: str = ""
) -> AsyncResult:
    """As `submit`, also inside the block of a canvas.

    ``task`` is its id, for a caller who has written it down before.
    """
    task = task or new_id()
    prepared, callback = _with_callback(runtime, _prepare(runtime, task, kind, name, action, request))
    if prepared.lacks_data:
        raise TypeError(
            f"{prepared.header.title} needs X; only a step of a canvas can be handed it by the one before"
        )
    place = runtime.at(prepared.header.label)
    future = _send(place, prepared, callback)
    return AsyncResult(task, runtime.om.session, place, future)


def _prepare(
    runtime: OmegaRuntime,
    task: str,
    kind: str,
    name: str,
    action: str,
    request: dict[str, Any],
    labels: dict[tuple[str, str, str], str] | None = None,
) -> Prepared:
    """Check a call and encode its arguments; raises as `submit` does."""
    wanted = _requirements(runtime, kind, name, labels if labels is not None else {})
    label = wanted.label or DEFAULT_LABEL
    runtime = runtime.at(label)
    om, engine = runtime.om, runtime.engine
    if wanted.timeout is not None:
        engine.need(
            Capability.TIME_LIMIT, f"require(timeout={wanted.timeout}) was refused, and nothing submitted: it"
        )
    if wanted.on_missing == "error":
        _check_label(label, runtime)
    store = om.store
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
    return Prepared(header, inline, lacks_data=kind == "model" and request["X"] is None)


def _with_callback(runtime: OmegaRuntime, prepared: Prepared) -> tuple[Prepared, Prepared | None]:
    """Return a call with that of the script that is to run once it is over; None where none was asked for."""
    script, task = runtime.requirements.callback, prepared.header.id
    if script is None:
        return prepared, None
    # What holds for the task itself (its label, its retries) does not hold for what is told of it.
    plain = runtime.with_requirements(Requirements())
    request: dict[str, Any] = {"args": [], "kwargs": {}, "given": {}}
    call = _prepare(plain, callback_id(task), "script", script, "run", request)
    told = Upstream("callback", task, Source(take=taken_of(prepared)))
    return prepared.with_fields(callback=True), call.with_fields(upstream=told)


def taken_of(prepared: Prepared) -> str:
    """Return what of a task's value is handed on: see `Source.take`."""
    kind = prepared.header.kind
    return "result" if kind == "script" else "dataset" if kind == "model" else ""


def _send(runtime: OmegaRuntime, prepared: Prepared, callback: Prepared | None) -> Future[bytes]:
    """Record the request and send the call; where the worker's host is this process it does both at once."""
    backend: Any = runtime.engine.backend
    ledger, call = runtime.om.session.ledger, prepared.call(runtime)
    requests = [(call.id, request_of(call, prepared.header, backend, followed=callback is not None))]
    if callback is not None:
        later = callback.call(runtime)
        requests.append((later.id, request_of(later, callback.header, backend, waits=True)))
    embedded = getattr(backend, "submit_own", None)
    if embedded is not None:
        own: Future[bytes] = embedded(call, prepared.header, ledger.request_group(requests))
        return own
    backend.expect_store(prepared.header.store_url)
    ledger.submit(requests)
    try:
        future: Future[bytes] = backend.submit(call)
    except BaseException:
        # It was never sent: nothing of it may look like a task that waits.
        ledger.remove_requests([task for task, _ in requests])
        raise
    return future


def _requirements(
    runtime: OmegaRuntime, kind: str, name: str, labels: dict[tuple[str, str, str], str]
) -> Requirements:
    """Merge what the call, the runtime and the object require; the object must exist.

    Args:
        runtime: the runtime of the call.
        kind: of the object.
        name: of the object.
        labels: those of objects that have been looked at, by bucket, kind and name; this one's is added.

    Raises:
        ObjectNotFound: it does not.
    """
    wanted = runtime.requirements
    stores = {"model": runtime.om.models, "script": runtime.om.scripts, "job": runtime.om.jobs}
    objects = stores.get(kind)
    if objects is not None:
        key = (objects.bucket, kind, name)
        if key not in labels:
            labels[key] = _label_of(objects.peek(name).record.attributes.get("require"))
        if labels[key]:
            wanted = wanted.over(Requirements(label=labels[key]))
    return wanted


def _label_of(stored: object) -> str:
    """Return the label that is stored with an object; empty where there is none."""
    return normal_label(str(stored["label"])) if isinstance(stored, dict) and stored.get("label") else ""


def request_of(
    call: Call,
    header: CallHeader,
    backend: Any,
    *,
    canvas: str = "",
    waits: bool = False,
    followed: bool = False,
) -> Request:
    """Return what the ledger keeps of a call until its task is over."""
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
        canvas=canvas,
        waits=waits,
        followed=followed,
    )


def _check_label(label: str, runtime: OmegaRuntime) -> None:
    there = labels_there(label, runtime)
    if there is not None:
        raise NoSuchLabel(
            f"no worker has the label {label!r}; there are: {there}. Start one that has it, or use on_missing='wait'"
        )
