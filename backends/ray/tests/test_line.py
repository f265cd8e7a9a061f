"""How calls and answers go together: the messages of a line, and the desk that answers them."""

from __future__ import annotations

import asyncio

from omruntime_ray.desk import Desk


def test_all_that_has_come_is_one_answer() -> None:
    async def run() -> list[tuple[str, bytes]]:
        desk = Desk()
        desk.put("me", "1", b"one")
        desk.put("me", "2", b"two")
        desk.put("other", "3", b"three")
        return await desk.collect("me")

    assert asyncio.run(run()) == [("1", b"one"), ("2", b"two")]


def test_the_oldest_question_is_answered_first() -> None:
    async def run() -> list[tuple[str, bytes]]:
        desk = Desk()
        first, second = (asyncio.ensure_future(desk.collect("me")) for _ in range(2))
        await asyncio.sleep(0)
        desk.put("me", "1", b"one")
        answer = await first
        assert not second.done()
        desk.put("me", "2", b"two")
        return answer + await second

    assert asyncio.run(run()) == [("1", b"one"), ("2", b"two")]


def test_who_does_not_want_to_wait_any_more_is_answered_with_nothing() -> None:
    async def run() -> list[tuple[str, bytes]]:
        desk = Desk()
        waiting = asyncio.ensure_future(desk.collect("me"))
        await asyncio.sleep(0)
        desk.let_go("me")
        return await waiting

    assert asyncio.run(run()) == []
