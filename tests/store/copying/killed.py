"""A copy that is killed before and after each of its writes, and what must be true of the target after each.

Run as ``python -m tests.store.copying.killed FROM TO``: everything is imported once, and each copy is a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from omruntime.abc import Buffer, Group, Store
from omruntime.ledger.transfer import copy_store
from omruntime.store import open_store
from tests.store.copying.seen import assert_whole, contents

T = TypeVar("T")


class Dying:
    """A store whose process is killed at one of the moments around its writes."""

    def __init__(self, store: Store, moment: int) -> None:
        self._store = store
        self._left = moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        return self._around(lambda: self._store.commit(groups))

    def write_blob(self, name: str, chunks: Iterable[Buffer], *, sync: bool = True) -> int:
        return self._around(lambda: self._store.write_blob(name, self._amid(chunks), sync=sync))

    def _amid(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        for chunk in chunks:
            yield chunk
            self._pass()

    def _around(self, work: Callable[[], T]) -> T:
        self._pass()
        done = work()
        self._pass()
        return done

    def _pass(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def killed_at(urls: tuple[str, str], moment: int) -> bool:
    """Copy in a process that is killed at a moment; False where it was done before that."""
    pid = os.fork()
    if pid == 0:
        try:
            source, target = open_store(urls[0], create=False), open_store(urls[1])
            copy_store(source, cast("Store", Dying(target, moment)))
            target.close()
            source.close()
            os._exit(0)
        except BaseException as exc:
            os.write(2, f"the copy failed: {exc!r}\n".encode())
            raise
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def look(urls: tuple[str, str], before: int) -> int:
    """Check the target, of which nothing may have gone, and return how much is in it."""
    target = open_store(urls[1])
    assert_whole(target)
    count = len(contents(target))
    target.close()
    assert count >= before, f"{before} were there, and now {count}"
    return count


def main(urls: tuple[str, str]) -> None:
    """Kill copies of which each goes on where the one before was killed, each a moment later; and compare."""
    kills = count = 0
    while killed_at(urls, kills):
        kills += 1
        count = look(urls, count)
    source, target = open_store(urls[0], create=False), open_store(urls[1], create=False)
    tally = copy_store(source, target)
    assert contents(target) == contents(source)
    assert tally.blobs == 0, "what was there was sent again"
    target.close()
    source.close()
    print(json.dumps({"kills": kills, "records": count}))


if __name__ == "__main__":
    main((sys.argv[1], sys.argv[2]))
