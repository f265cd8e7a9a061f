"""The actors of one namespace, as a process sees them: who works, which way a call goes, and how orders come."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Any

import msgspec
import ray

from omruntime.abc import Call, WorkerInfo, label_set
from omruntime.errors import BackendUnavailable
from omruntime_ray.line import Line
from omruntime_ray.office import OFFICE, Entry, Known, Office, Room, carried
from omruntime_ray.pool import scale

__all__ = ["ANSWER_LIMIT", "CONCURRENCY", "Network"]

CONCURRENCY = 1_000_000
"""Calls that wait in an actor take nothing but memory."""
ANSWER_LIMIT = 10.0
_AGAIN = 0.5


def idle_limit() -> float:
    """Return the seconds after which a pool that nobody needs ends: ``OMRUNTIME_RAY_IDLE``, or 600."""
    return float(os.environ.get("OMRUNTIME_RAY_IDLE") or 600)


class Network:
    """Office and hosts of a namespace.

    Args:
        namespace: of our actors.
        mailbox: name of this process.
        give: called with id and packed answer of each call that was sent with ``send``.
        lost: called with the ids of calls whose actor is gone.

    Attributes:
        address: the same for all processes that use this namespace of the cluster.
        keeps_pool: this process is a runtime's, for which the pool is kept.
    """

    lease = ""

    def __init__(
        self,
        namespace: str,
        mailbox: str,
        give: Callable[[str, bytes], None],
        lost: Callable[[Sequence[str], BaseException], None],
    ) -> None:
        self.namespace, self.keeps_pool = namespace, True
        self._mailbox, self._give, self._lost = mailbox, give, lost
        self._lock = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._closed = False
        self.office: Any = self._find_office()
        self._known: Known = ray.get(self.office.known.remote(), timeout=ANSWER_LIMIT)
        self.address = self._known["address"]
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="omruntime-ray-news", daemon=True)
        self._thread.start()

    def _find_office(self) -> Any:
        kind: Any = ray.remote(Office)
        return kind.options(
            name=OFFICE,
            namespace=self.namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=CONCURRENCY,
        ).remote(self.namespace, idle_limit())

    def _listen(self) -> None:
        """Follow the news; they come as answers to a question that is always open."""
        while not self._closed:
            try:
                asked = self.office.news.remote(self._known["life"], self._known["version"], self.keeps_pool).future()
                asked.add_done_callback(self._heard.put)
            except Exception:  # noqa: BLE001  (the office is looked for again)
                asked = None
            heard = self._heard.get() if asked is not None else None
            if self._closed:
                return
            if heard is None or heard.exception() is not None:
                self._look_for_office()
            else:
                self._hear(heard.result())

    def _look_for_office(self) -> None:
        threading.Event().wait(_AGAIN)
        try:
            self.office = self._find_office()
            self._hear(ray.get(self.office.known.remote(), timeout=ANSWER_LIMIT))
        except Exception:  # noqa: BLE001  (the next turn tries again)
            return

    def _hear(self, known: Known) -> None:
        with self._lock:
            self._known = known
            there = {entry["station"] for entry in known["hosts"].values()}
            gone = [name for name in self._lines if name != OFFICE and name not in there]
            leaving = [self._lines.pop(name) for name in gone]
        for line in leaving:
            line.close_when_idle()

    @property
    def life(self) -> str:
        """Name of the office's present life, and how many hosts were lost in it."""
        return self._known["life"]

    # -- calls ---------------------------------------------------------------------------------------------------

    def _way_of(self, label: str) -> str:
        """Return the only host that has a set of labels, if it takes calls itself; otherwise the office."""
        wanted = label_set(label)
        fitting = [
            entry["station"]
            for entry in self._known["hosts"].values()
            if any(wanted <= label_set(labels) for labels in entry["labels"])
        ]
        return fitting[0] if len(fitting) == 1 and fitting[0] else OFFICE

    def _line_to(self, name: str) -> Line:
        with self._lock:
            line = self._lines.get(name)
            if line is None or line.is_closed:
                actor = self.office if name == OFFICE else ray.get_actor(name, self.namespace)
                line = self._lines[name] = Line(actor, self._mailbox, self._give, self._lost)
            return line

    def send(self, calls: Sequence[Call]) -> None:
        """Send calls whose answers are waited for."""
        for way, mine in self._by_way(calls).items():
            sent = [(call.id, call.name, carried(call)) for call in mine]
            try:
                there = self._line_to(way).send(sent)
            except ValueError:
                # An actor that has just gone.
                there = False
            if not there:
                self._line_to(OFFICE).send(sent)

    def _by_way(self, calls: Sequence[Call]) -> Mapping[str, list[Call]]:
        ways: dict[str, list[Call]] = {}
        for call in calls:
            ways.setdefault(self._way_of(call.label), []).append(call)
        return ways

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for."""
        taken = [carried(call)]
        way = self._way_of(call.label)
        actor = self.office
        if way != OFFICE:
            try:
                actor = ray.get_actor(way, self.namespace)
            except ValueError:
                actor = self.office
        actor.take.options(name=call.name).remote("", taken)

    def await_canvas(self, id: str) -> None:
        """Have the end of a canvas told to this process."""
        self._line_to(OFFICE).expect(id)

    def answer(self, id: str, answer: bytes) -> None:
        """Give the answer of a call that this process has fetched."""
        self.office.answer.remote(id, answer)

    def post(self, mailbox: str, id: str, answer: bytes) -> None:
        """Leave something in the mailbox of another process."""
        self.office.post.remote(mailbox, id, answer)

    def cancel(self, id: str) -> None:
        """Tell all hosts that a task is cancelled."""
        self.office.cancel.remote(id)

    # -- hosts ---------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """List the workers of all hosts."""
        known: Known = ray.get(self.office.known.remote(), timeout=ANSWER_LIMIT)
        self._hear(known)
        return [info for entry in known["hosts"].values() for info in msgspec.convert(entry["workers"], list[WorkerInfo])]

    def announce(self, id: str, entry: Entry) -> None:
        """Say who works at a host in this process, and return when all have been told."""
        ray.get(self.office.announce.remote(id, entry), timeout=ANSWER_LIMIT)

    def fetch(self, id: str, room: Room, limit: float) -> Any:
        """Ask what a host in this process is to do; returns a future of an `Errand`."""
        return self.office.work.remote(id, room, limit).future()

    def expect_store(self, url: str) -> None:
        """Nothing: who works here looks after itself."""

    def queued(self, label: str) -> int | None:
        """Return how many calls of a label the office has; None where a host has them itself."""
        if self._way_of(label) != OFFICE:
            return None
        return int(ray.get(self.office.queued.remote(label), timeout=ANSWER_LIMIT))

    def scale(self, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
        """Have as many slots of each label set in the pool as it says."""
        scale(self, workers, env)

    def stations(self) -> dict[str, Entry]:
        """Return the hosts that are actors, by the actor's name."""
        return {entry["station"]: entry for entry in self._known["hosts"].values() if entry["station"]}

    def await_stations(self, names: set[str], limit: float) -> None:
        """Wait until actors have said that they work.

        Raises:
            BackendUnavailable: one has not within the limit.
        """
        deadline = monotonic() + limit
        while missing := names - self.stations().keys():
            if monotonic() > deadline:
                raise BackendUnavailable(
                    f"the actors {', '.join(sorted(missing))} have not said within {limit:.0f} s that they work; look "
                    "into Ray's logs: ray list actors, ray logs"
                )
            asked = self.office.news.remote(self._known["life"], self._known["version"], self.keeps_pool)
            self._hear(ray.get(asked, timeout=limit))

    def close(self, wait: bool) -> None:
        """Leave; the actors stay."""
        self._closed = True
        self._send_what_is_left()
        self._heard.put(None)
        self._thread.join()
        for line in self._lines.values():
            line.close()

    def _send_what_is_left(self) -> None:
        """Return when the office has all that this process has sent: Ray keeps the order of calls."""
        try:
            ray.get(self.office.known.remote(), timeout=ANSWER_LIMIT)
        except ray.exceptions.RayError:
            # It is gone itself.
            return
