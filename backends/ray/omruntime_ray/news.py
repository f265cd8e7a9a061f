"""The office as a process sees it: found, followed, and found again however long Ray was away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any

import ray

from omruntime.errors import BackendUnavailable
from omruntime_ray.carried import Known
from omruntime_ray.connection import come_back, is_there, questions, step_out
from omruntime_ray.names import Place
from omruntime_ray.office import OFFICE, Office
from omruntime_ray.reach import ANSWER_LIMIT, CONCURRENCY, START_LIMIT
from omruntime_ray.versions import check_speaks

__all__ = ["News"]

_AGAIN = 0.5


def idle_limit() -> float:
    """Return the seconds after which a pool that nobody needs ends: ``OMRUNTIME_RAY_IDLE``, or 600."""
    return float(os.environ.get("OMRUNTIME_RAY_IDLE") or 600)


class News:
    """Who works in a namespace, told by its office.

    Args:
        place: the cluster and the namespace.
        name: of this process.
        changed: called, in a thread of its own, whenever something is known.
        came_back: called when Ray had gone, and is there again.

    Attributes:
        known: what was heard last.
        keeps_pool: this process is a runtime's, for which the pool is kept.
        founds: it starts an office where there is none any more; an actor of the pool does not, and ends with it.
    """

    def __init__(
        self, place: Place, name: str, changed: Callable[[Known], None], came_back: Callable[[], None]
    ) -> None:
        self._place, self._name, self._changed, self._came_back = place, name, changed, came_back
        self.keeps_pool = self.founds = True
        self._away = self._closed = False
        self._pause = threading.Event()
        self._office, self.known = self._begin()
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._follow, name="omruntime-ray-news", daemon=True)
        self._thread.start()

    def _begin(self) -> tuple[Any, Known]:
        """Return the office and what it knows; one that has just ended, or is being started again, is waited for."""
        deadline = monotonic() + START_LIMIT
        while True:
            try:
                office = questions().ask(self._found, START_LIMIT)
                known: Known = questions().value(office.known.remote(), max(deadline - monotonic(), _AGAIN))
            except ray.exceptions.RayActorError:
                if monotonic() > deadline:
                    raise
                self._pause.wait(_AGAIN)
            else:
                check_speaks(known, self._place.namespace)
                return office, known

    @property
    def office(self) -> Any:
        """Handle of the office.

        Raises:
            BackendUnavailable: Ray has gone away.
        """
        if self._away:
            raise BackendUnavailable(
                f"the Ray cluster at {self.known['address']} is gone; what is recorded runs when it is back"
            )
        return self._office

    @property
    def _keeper(self) -> str:
        return self._name if self.keeps_pool else ""

    def ask(self, method: str, *args: object) -> Any:
        """Return what the office answers; one that is being started again is waited for."""
        deadline = monotonic() + ANSWER_LIMIT
        while True:
            try:
                asked = getattr(self.office, method).remote(*args)
                return questions().value(asked, max(deadline - monotonic(), _AGAIN))
            except ray.exceptions.RayActorError:
                if monotonic() > deadline:
                    raise
                self._pause.wait(_AGAIN)

    def look(self) -> Known:
        """Ask what is known now."""
        known: Known = self.ask("known")
        self._take(known)
        return known

    def wait(self, limit: float) -> None:
        """Wait for something new."""
        asked = self.office.news.remote(self.known["life"], self.known["version"], self._keeper)
        self._take(questions().value(asked, limit))

    def _find(self) -> Any:
        return ray.get_actor(OFFICE, self._place.namespace)

    def _found(self) -> Any:
        kind: Any = ray.remote(Office)
        return kind.options(
            name=OFFICE,
            namespace=self._place.namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=CONCURRENCY,
        ).remote(self._place.namespace, idle_limit())

    def _take(self, known: Known) -> None:
        self.known = known
        self._changed(known)

    def _follow(self) -> None:
        """Hear what is new; it comes as the answer to a question that is always open."""
        while not self._closed:
            try:
                asked = self.office.news.remote(self.known["life"], self.known["version"], self._keeper)
                questions().follow(asked.future()).add_done_callback(self._heard.put)
                heard = self._heard.get()
                if not self._closed:
                    self._take(heard.result())
            except Exception:  # noqa: BLE001  (whatever Ray makes of an actor or a cluster that is gone)
                self._pause.wait(_AGAIN)
                self._look_again()

    def _look_again(self) -> None:
        """Find the office again, and Ray before that.

        Ray itself ends the whole process a minute after its cluster has gone, where that is still part of it.
        """
        try:
            if self._away:
                come_back(self._place)
            elif not is_there(self._place):
                self._away = True
                step_out()
                return
            office = questions().ask(self._found if self.founds else self._find, ANSWER_LIMIT)
            known: Known = questions().value(office.known.remote(), ANSWER_LIMIT)
            check_speaks(known, self._place.namespace)
        except Exception:  # noqa: BLE001  (whatever Ray makes of it where another runtime here has just stepped out)
            # The next turn tries again.
            return
        was_away, self._away, self._office = self._away, False, office
        self._take(known)
        if was_away and not self._closed:
            self._came_back()

    def close(self) -> None:
        """Follow no more; the office goes on."""
        self._closed = True
        try:
            self.office.leave.remote(self._name)
        except (BackendUnavailable, ray.exceptions.RayError):
            # It is gone itself.
            pass
        self._pause.set()
        self._heard.put(None)
        self._thread.join()
