"""Many short tasks and canvases while workers are killed: ``python -m benchmarks.soak [--tasks N --canvases N]``.

Whatever was submitted must end, once, as plain Python says. The seed chooses the work and who is killed after how
long; what runs where at that moment is up to the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omruntime_conformance.steps import made_of
from omruntime_conformance.tasks import Trouble
from omruntime_conformance.trees import Leaf, Tree, plain, put_leaves, worked_out, written

from omruntime import AsyncResult, CanvasResult, Omega, OmegaRuntime, OmegaRuntimeLocal
from omruntime.abc import Space
from omruntime.errors import UpstreamFailed, WorkerLost
from omruntime.ledger import FINAL, LOST, End, step_number
from omruntime.ledger.facts import decode

__all__ = ["Soaked", "soak"]

# Enough that no task is given up for being killed each time; a step that fails is tried as often too.
RETRIES = 15
PATIENCE = 300.0


@dataclass
class Soaked:
    """What was done, and what went wrong."""

    tasks: int = 0
    fits: int = 0
    canvases: int = 0
    steps: int = 0
    kills: int = 0
    lost_attempts: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    """One line for each thing that is not as it must be."""

    def __str__(self) -> str:
        rows = [(each.name.replace("_", " "), getattr(self, each.name)) for each in fields(self)]
        rows[-1] = ("wrong", len(self.wrong))
        figures = [f"{name:14} {value:>10.6g}" for name, value in rows]
        return "\n".join([*figures, *self.wrong])


def soak(
    om: Omega, *, tasks: int, canvases: int, fits: int = 20, every: float = 0.1, seed: int = 1, retries: int = RETRIES
) -> Soaked:
    """Submit tasks and canvases while a worker is killed about ``every`` seconds, and compare what comes of them."""
    found, chance = Soaked(tasks=tasks, canvases=canvases, fits=fits), random.Random(seed)
    put_leaves(om)
    runtime = om.runtime.require(retries=retries)
    started = time.monotonic()
    with _killing(om.runtime, every, random.Random(seed + 1), found):
        work = ["task"] * tasks + ["canvas"] * canvases + ["fit"] * fits
        chance.shuffle(work)
        submitted = [_submit(runtime, what, number, chance) for number, what in enumerate(work)]
        for handle, expected in submitted:
            _compare(om, handle, expected, found)
    found.seconds = time.monotonic() - started
    _count_versions(om, fits, found)
    _look_into_the_ledger(om, [handle for handle, _ in submitted], found)
    return found


def _submit(runtime: OmegaRuntime, what: str, number: int, chance: random.Random) -> tuple[AsyncResult, Any]:
    if what == "canvas":
        tree = _random_tree(chance, depth=3)
        for position, leaf in enumerate(tree.leaves()):
            leaf.number = position
        return written(runtime, tree), tree
    if what == "fit":
        return runtime.model("leaf").fit([number], how="fit", number=number), None
    text = chance.choice(["short", "x" * 20_000])
    return runtime.script("leaf").run(how="task", number=number, result=text), made_of(
        "task", number, False, "result", text
    )


def _random_tree(chance: random.Random, depth: int) -> Tree:
    kind = chance.choice(["sequence", "parallel", "mapreduce"])
    children: list[Tree | Leaf] = []
    for _ in range(chance.randint(2, 5)):
        if depth > 1 and chance.random() < 0.3:
            children.append(_random_tree(chance, depth - 1))
        else:
            how = chance.choice(["script", "model"])
            children.append(Leaf(how, fails=chance.random() < 0.03, given=chance.random() < 0.1))
    return Tree(kind, children)


@contextlib.contextmanager
def _killing(runtime: OmegaRuntime, every: float, chance: random.Random, found: Soaked) -> Iterator[None]:
    """Kill a worker now and then, as the kernel does, until the block is left."""
    over = threading.Event()

    def kill() -> None:
        pause = 0.0
        while not over.wait(pause):
            pause = chance.expovariate(1 / every)
            pids = [worker.pid for worker in runtime.workers() if worker.pid]
            # One that was killed a moment ago is not there, and its place not taken yet.
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(pids), signal.SIGKILL)
                found.kills += 1

    killer = threading.Thread(target=kill, name="killer")
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def _compare(om: Omega, handle: AsyncResult, expected: Any, found: Soaked) -> None:
    try:
        if isinstance(handle, CanvasResult):
            _compare_canvas(om, handle, expected, found)
            return
        value = handle.get(PATIENCE)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is one of the findings
        found.wrong.append(f"{handle}: {type(exc).__name__}: {exc}")
        return
    if expected is not None and value["result"] != expected:
        found.wrong.append(f"{handle} is {value['result']!r:.100} and not {expected!r:.100}")


def _compare_canvas(om: Omega, handle: CanvasResult, tree: Tree, found: Soaked) -> None:
    expected = worked_out(tree)
    try:
        value = plain(om, handle.get(PATIENCE))
    except Trouble as exc:
        value = exc.args
    except WorkerLost as exc:
        # It would have failed, and was killed on its last attempt.
        value = ("step", step_number(exc.task or ""))
    if value != (expected.value if expected.culprit is None else ("step", expected.culprit)):
        found.wrong.append(f"{handle} of {tree} is {value!r:.200}")
    outcomes = handle.getall(return_exceptions=True)
    found.steps += len(outcomes)
    for number, outcome in enumerate(outcomes):
        if number in expected.values:
            good = plain(om, outcome) == expected.values[number]
        else:
            good = isinstance(outcome, (Trouble, WorkerLost) if number in expected.failed else UpstreamFailed)
        if not good:
            found.wrong.append(f"step {number} of {handle} of {tree} is {outcome!r:.200}")


def _count_versions(om: Omega, fits: int, found: Soaked) -> None:
    versions = len(om.models.revisions("leaf"))
    if versions != 1 + fits:
        found.wrong.append(f"{fits} fits have left {versions - 1} versions")


def _look_into_the_ledger(om: Omega, handles: list[AsyncResult], found: Soaked) -> None:
    ends: dict[str, list[str]] = {}
    after = ""
    while rows := om.store.scan(Space.LEDGER, "end:", after=after, limit=500):
        after = rows[-1][0]
        for key, record in rows:
            ends.setdefault(key.split(":")[1], []).append(decode(End, record).state)
    for task, states in ends.items():
        found.lost_attempts += Counter(states)[LOST]
        if sum(state in FINAL for state in states) != 1:
            found.wrong.append(f"task {task} has ended {states}")
    missing = [handle.id for handle in handles if handle.id not in ends]
    found.wrong += [f"task {task} has no end" for task in missing]
    if len(ends) != len(handles) + found.steps:
        found.wrong.append(f"{len(handles) + found.steps} tasks were submitted, and {len(ends)} have ended")


def main() -> None:
    """Soak the local engine, print the figures, and exit with 1 if anything was lost, wrong, or done twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--canvases", type=int, default=20)
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--every", type=float, default=0.1, metavar="SECONDS", help="mean time between two kills")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ.setdefault("OMRUNTIME_KEY", "soak")
    with tempfile.TemporaryDirectory(prefix="omruntime-soak-") as place:
        runtime = OmegaRuntimeLocal(workers=given.workers)
        with Omega(f"sqlite:///{Path(place) / 'store'}", runtime) as om:
            figures = soak(
                om, tasks=given.tasks, canvases=given.canvases, fits=given.fits, every=given.every, seed=given.seed
            )
    print(figures)
    sys.exit(1 if figures.wrong else 0)


if __name__ == "__main__":
    main()
