"""The actors of one namespace, as a process sees them: who works, which way a call goes, and how orders come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import msgspec
import ray

from omruntime.abc import Call, WorkerInfo, label_set
from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime.masking import mask
from omruntime_ray.carried import Entry, Known, Room, carried, packed_calls
from omruntime_ray.connection import handle_of, questions
from omruntime_ray.direct import DirectLine, connected
from omruntime_ray.line import Line
from omruntime_ray.mailbox import AnyLine, Mailbox
from omruntime_ray.names import Place
from omruntime_ray.news import News
from omruntime_ray.office import OFFICE
from omruntime_ray.pool import scale
from omruntime_ray.reach import ANSWER_LIMIT

__all__ = ["Network"]

_log = logging.getLogger("omruntime.client")


class Network:
    """Office and hosts of a namespace.

    Args:
        place: the cluster and the namespace.
        mailbox: of this process, for the calls that are sent with ``send``.

    Attributes:
        address: the same for all processes that use this namespace of the cluster.
        news: who works there.
    """

    lease = ""

    def __init__(self, place: Place, mailbox: Mailbox) -> None:
        self.namespace = place.namespace
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._lines: dict[str, AnyLine] = {}
        self._old: list[AnyLine] = []
        self._actors: dict[str, Any] = {}
        self._lives: dict[str, str] = {}
        """Ids of the hosts that are actors, by the actor's name."""
        self._wanted: dict[str, int] = {}
        self._stores: set[str] = set()
        self._told = ""
        """The office's life that has been told of the stores."""
        self._env: Mapping[str, str] = {}
        self.news = News(place, mailbox.name, self._hear, self._restore)
        self.address = self.news.known["address"]

    def _hear(self, known: Known) -> None:
        """Let go of the lines to actors that work no more."""
        lives = {entry["station"]: id for id, entry in known["hosts"].items()}
        with self._lock:
            leaving = [self._lines.pop(name) for name in self._lines.keys() - {OFFICE, *lives}]
            # Another actor may have the name by now.
            self._actors = {
                name: actor for name, actor in self._actors.items() if self._lives[name] == lives.get(name)
            }
            self._lives = lives
            self._old = [line for line in self._old if not line.is_over] + leaving
        for line in leaving:
            line.close_when_idle()
        self._tell_again(known["life"].partition("-")[0])

    def _restore(self) -> None:
        """Have the pool again that this runtime has asked for, in a cluster that had forgotten it."""
        try:
            if self._wanted:
                scale(self, self._wanted, self._env)
        except OmegaRuntimeError:
            _log.exception("the pool at %s could not be started again", self.address)

    @property
    def life(self) -> str:
        """Name of the office's present life, and how many hosts were lost in it."""
        return self.news.known["life"]

    # -- calls ---------------------------------------------------------------------------------------------------

    def _way_of(self, label: str) -> str:
        """Return the only host that has a set of labels, if it takes calls itself; otherwise the office."""
        wanted = label_set(label)
        fitting = [
            entry["station"]
            for entry in self.news.known["hosts"].values()
            if any(wanted <= label_set(labels) for labels in entry["labels"])
        ]
        return fitting[0] if len(fitting) == 1 and fitting[0] else OFFICE

    def _actor(self, name: str) -> Any:
        """Return the handle of an actor; raises ValueError where there is none of the name."""
        if name == OFFICE:
            return self.news.office
        actor = self._actors.get(name)
        if actor is None:
            actor = handle_of(name, self.namespace)
            if name in self._lives:
                self._actors[name] = actor
        return actor

    def _line_to(self, name: str) -> AnyLine:
        with self._lock:
            line = self._lines.get(name)
            if line is None or line.is_closed:
                line = self._lines[name] = self._line(name)
            return line

    def _line(self, name: str) -> AnyLine:
        """Return a new line, without Ray where the actor is on this machine."""
        entry = self.stations().get(name)
        sock = None if entry is None else connected(entry["door"])
        if sock is not None:
            return DirectLine(sock, self._mailbox)
        return Line(self._actor(name), self._mailbox)

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
        taken = packed_calls([carried(call)])
        try:
            actor = self._actor(self._way_of(call.label))
        except ValueError:
            # It has just gone.
            actor = self.news.office
        actor.take.options(name=call.name).remote("", taken)

    def await_canvas(self, id: str) -> None:
        """Have the end of a canvas told to this process."""
        self._line_to(OFFICE).expect(id)

    def answer(self, id: str, answer: bytes) -> None:
        """Give the answer of a call that this process has fetched; one that has nobody to go to is in the ledger."""
        with suppress(BackendUnavailable, ray.exceptions.RayError):
            self.news.office.answer.remote(id, answer)

    def post(self, mailbox: str, id: str, answer: bytes) -> None:
        """Leave something in the mailbox of another process."""
        self.news.office.post.remote(mailbox, id, answer)

    def cancel(self, id: str) -> None:
        """Tell all hosts that a task is cancelled."""
        self.news.office.cancel.remote(id)

    # -- hosts ---------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """List the workers of all hosts."""
        known = self.news.look()
        said = [each for entry in known["hosts"].values() for each in entry["workers"]]
        return msgspec.convert(said, list[WorkerInfo])

    def announce(self, id: str, entry: Entry) -> None:
        """Say who works at a host in this process, and return when all have been told."""
        self.news.ask("announce", id, entry)

    def fetch(self, id: str, room: Room, limit: float) -> Any:
        """Ask what a host in this process is to do; returns a future of an `Errand`."""
        return questions().follow(self.news.office.work.remote(id, room, limit).future())

    def expect_store(self, url: str) -> None:
        """Have the hosts look after a store, unless its URL is a secret: those they learn from the calls alone."""
        if url not in self._stores and mask(url) == url:
            self.news.office.look_after.remote(url)
            self._stores.add(url)

    def _tell_again(self, office: str) -> None:
        """Tell an office of another life, or of another cluster, of the stores that this process works on."""
        told, self._told = self._told, office
        if told and told != office:
            for url in list(self._stores):
                self.news.office.look_after.remote(url)

    def queued(self, label: str) -> int | None:
        """Return how many calls of a label the office has; None where a host has them itself."""
        if self._way_of(label) != OFFICE:
            return None
        return int(self.news.ask("queued", label))

    def scale(self, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
        """Have as many slots of each label set in the pool as it says."""
        scale(self, workers, env)
        self._wanted |= workers
        self._env = env

    def stations(self) -> dict[str, Entry]:
        """Return the hosts that are actors, by the actor's name."""
        return {entry["station"]: entry for entry in self.news.known["hosts"].values() if entry["station"]}

    def await_stations(self, come: set[str], go: set[str], limit: float) -> None:
        """Wait until actors have said that they work, and others that they take nothing more.

        Raises:
            BackendUnavailable: one has not within the limit.
        """
        deadline = monotonic() + limit
        while wrong := (come - self.stations().keys()) | (go & self.stations().keys()):
            if monotonic() > deadline:
                raise BackendUnavailable(
                    f"the actors {', '.join(sorted(wrong))} have not said within {limit:.0f} s whether they work; "
                    "look into Ray's logs: ray list actors, ray logs"
                )
            self.news.wait(limit)

    def close(self, wait: bool) -> None:
        """Leave; the actors stay."""
        self._send_what_is_left()
        self.news.close()
        for line in (*self._lines.values(), *self._old):
            line.close()

    def _send_what_is_left(self) -> None:
        """Return when the office has all that this process has sent: Ray keeps the order of calls."""
        try:
            questions().value(self.news.office.known.remote(), ANSWER_LIMIT)
        except (BackendUnavailable, ray.exceptions.RayError):
            # It is gone itself.
            return
