"""The Ray of this process: one at a time, shared by all runtimes here, and left as it was where the user has it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from time import monotonic, sleep
from typing import Any

import ray
from ray._private import worker as ray_worker
from ray.job_config import JobConfig

from omruntime.errors import BackendUnavailable, VersionMismatch
from omruntime_ray.asking import Questions
from omruntime_ray.greeting import greet
from omruntime_ray.names import Place
from omruntime_ray.reach import ANSWER_LIMIT, is_same, knock
from omruntime_ray.sigterm import Sigterm

__all__ = [
    "come_back",
    "handle_of",
    "is_the_users",
    "is_there",
    "join",
    "leave",
    "questions",
    "step_out",
    "without_paths",
]

_log = logging.getLogger("omruntime.client")
_TAKES, _DROPS = 30.0, 0.1
"""Seconds within which a thread of Ray's takes SIGTERM when Ray begins, and drops it when Ray ends."""
_LOOK = 0.005
_TRIES = 3
_lock = threading.RLock()


class _Joined:
    """What this process has joined.

    Attributes:
        users: how many runtimes need it.
        ours: it was initialised here, and is not the user's.
        address: the one that it was initialised for.
        life: the thread that has initialised it.
        questions: what is open there.
    """

    users = 0
    ours = False
    address = ""
    life: _Life | None = None
    questions = Questions()


def questions() -> Questions:
    """Return what is open at the cluster that this process is part of now."""
    return _Joined.questions


def handle_of(name: str, namespace: str) -> Any:
    """Return the handle of an actor; raises ValueError where there is none of the name."""
    return questions().ask(lambda: ray.get_actor(name, namespace), ANSWER_LIMIT)


def join(place: Place) -> None:
    """Have this process be part of a Ray cluster; one that is initialised is used.

    Raises:
        BackendUnavailable: nothing answers, or this process is part of another one.
        VersionMismatch: the cluster has another version of Ray or Python.
    """
    with _lock:
        if ray.is_initialized():
            if not place.is_private and place.address != "auto":
                _check_same(place)
        else:
            _Joined.users = 0
            _initialise(place)
            _Joined.ours, _Joined.address = True, place.address
        _Joined.users += 1


def is_the_users() -> bool:
    """Tell whether the user has initialised Ray in this process."""
    with _lock:
        return ray.is_initialized() and not _Joined.ours


def _check_same(place: Place) -> None:
    if _Joined.ours and _Joined.users:
        if place.address == _Joined.address:
            return
        there = _Joined.address
    else:
        there = _gcs_address()
        if place.by_client or (place.endpoint is not None and is_same(place.endpoint, _split(there))):
            return
    raise BackendUnavailable(
        f"this process is part of a Ray cluster already ({there}), and Ray has one at a time in a process; close "
        f"that runtime, or call ray.shutdown(), before you open {place.address}; or use another process"
    )


def _gcs_address() -> str:
    try:
        return str(ray.get_runtime_context().gcs_address)
    except Exception:  # noqa: BLE001  (it is named in a message)
        return "one that the program has initialised"


def _initialise(place: Place) -> None:
    if (endpoint := place.endpoint) is not None:
        knock(*endpoint)
        greet(*endpoint, by_client=place.by_client)
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "namespace": place.namespace,
        "address": place.address,
    }
    if not place.by_client:
        options["job_config"] = without_paths()
    try:
        _Joined.life = _begun(options)
    except Exception as exc:
        if "ersion mismatch" in str(exc):
            raise VersionMismatch(f"the Ray cluster at {place.address} and this process do not fit: {exc}") from exc
        raise BackendUnavailable(f"no Ray can be had at {place.address}: {exc}") from exc


def _begun(options: Mapping[str, Any]) -> _Life:
    """Begin a life in a cluster, once more where Ray fails as it does now and then (its issue 63202)."""
    for _ in range(_TRIES - 1):
        try:
            return _Life(options)
        except ConnectionAbortedError as exc:
            # The process that its server for clients has begun for this one dies between fork and exec.
            if "Starting Ray client server failed" not in str(exc):
                raise
            _log.info("%s; it is tried again", exc)
    return _Life(options)


class _NoPaths(list[str]):
    """Stays empty."""

    def extend(self, paths: Iterable[str]) -> None:
        """Add nothing."""


def without_paths() -> JobConfig:
    """Return settings of a job whose actors do not look for modules where its client is."""
    config = JobConfig()
    config._py_driver_sys_path = _NoPaths()  # noqa: SLF001  (there is no other way to have Ray add no folder)
    return config


class _Life:
    """The thread in which Ray is initialised, and shut down again.

    Ray names objects by job, thread and number; the thread that initialises it begins at the same name in each new
    cluster, where another one may go on with the names of the last: so this one does nothing else. And what Ray
    starts ends with the thread that has started it.

    Args:
        options: for `ray.init`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._begun: Future[None] = Future()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="omruntime-ray-life", daemon=True)
        self._thread.start()
        try:
            self._begun.result()
        except BaseException:
            self._thread.join()
            raise

    def _run(self) -> None:
        sigterm = Sigterm()
        with _nothing_printed():
            try:
                with _quiet_environment():
                    ray.init(**self._options)
            except BaseException as exc:  # noqa: BLE001  (whoever waits gets it)
                self._begun.set_exception(exc)
                return
            finally:
                taken = sigterm.give_back()
            self._begun.set_result(None)
            deadline = monotonic() + _TAKES
            while not taken and monotonic() < deadline and not self._enough.wait(_LOOK):
                taken = sigterm.give_back()
            self._enough.wait()
            ray.shutdown()
            deadline = monotonic() + _DROPS
            while not sigterm.give_back() and monotonic() < deadline:
                sleep(_LOOK)

    def end(self) -> None:
        """Shut Ray down."""
        self._enough.set()
        self._thread.join()


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Have Ray send no usage reports, for the time of a block; its processes inherit it."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = before or "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Have Ray log what it would print of nodes and workers that have died, for the time of a block.

    No setting keeps that from the user's terminal: `log_to_driver` is about what tasks print.
    """
    before = ray_worker.print_to_stdstream

    def logged(data: Mapping[str, Any], *args: Any, **options: Any) -> None:
        _log.info("Ray says: %s", "; ".join(data["lines"]))

    ray_worker.print_to_stdstream = logged
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = before


def leave() -> None:
    """Need it no more; the last one ends what was initialised here."""
    with _lock:
        _Joined.users -= 1
        if _Joined.users > 0 or not _Joined.ours:
            return
        _end()
        _clear()


def _end() -> None:
    life, _Joined.life = _Joined.life, None
    if life is not None:
        life.end()
        _Joined.questions.end()
        _Joined.questions = Questions()


def is_there(place: Place) -> bool:
    """Tell whether this process is still part of a cluster: whoever listens at its address may be of another life."""
    try:
        if (endpoint := place.endpoint or _gcs_endpoint()) is not None:
            knock(*endpoint)
    except BackendUnavailable:
        return False
    return _client_is_connected() if place.by_client else _node_is_there()


def _client_is_connected() -> bool:
    from ray.util.client import ray as client

    return bool(client.is_connected())


def _node_is_there() -> bool:
    """Tell whether the raylet listens that this process is a driver of; nothing brings it to another one."""
    node = ray_worker.global_worker.node
    if node is None:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(node.raylet_socket_name)
    except OSError:
        return False
    return True


def step_out() -> None:
    """End this process' part in a cluster that is gone; its runtimes wait for it to come back."""
    with _lock:
        _end()


def come_back(place: Place) -> None:
    """Be part of the cluster again, if it is there.

    Raises:
        BackendUnavailable: it is still away.
    """
    with _lock:
        if not ray.is_initialized():
            users = _Joined.users
            _initialise(place)
            _Joined.ours, _Joined.address, _Joined.users = True, place.address, users


def _gcs_endpoint() -> tuple[str, int] | None:
    return _split(_gcs_address()) if ray.is_initialized() else None


def _split(address: str) -> tuple[str, int] | None:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() else None


def _clear() -> None:
    _Joined.ours, _Joined.address, _Joined.users = False, "", 0
