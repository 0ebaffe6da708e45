"""Many waits with one time limit: each ends by itself, one timer serves them all."""

import asyncio

import pytest

from c2s_enrich.intake.fast.time_limit import TimeLimit


async def wait(limit: TimeLimit, thing: asyncio.Future[str]) -> str:
    with limit():
        return await thing


class TestATimeLimit:
    async def test_lets_through_what_comes_in_time(self) -> None:
        limit, thing = TimeLimit(30), asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(wait(limit, thing))
        await asyncio.sleep(0)
        thing.set_result("came")

        assert await waiting == "came"

    async def test_ends_every_wait_that_is_too_long_and_only_those(self) -> None:
        limit, loop = TimeLimit(0.05), asyncio.get_running_loop()
        things = [loop.create_future() for _ in range(3)]
        waits = [asyncio.create_task(wait(limit, thing)) for thing in things]
        await asyncio.sleep(0)
        things[1].set_result("came")
        ended = await asyncio.gather(*waits, return_exceptions=True)

        assert [type(each) for each in ended] == [TimeoutError, str, TimeoutError]

    async def test_gives_those_who_come_later_their_whole_time(self) -> None:
        limit, loop = TimeLimit(0.2), asyncio.get_running_loop()
        first = asyncio.create_task(wait(limit, loop.create_future()))
        await asyncio.sleep(0.1)
        thing = loop.create_future()
        second = asyncio.create_task(wait(limit, thing))
        with pytest.raises(TimeoutError):
            await first
        thing.set_result("came")

        assert await second == "came"

    async def test_passes_on_a_cancellation_that_is_not_its_own(self) -> None:
        waiting = asyncio.create_task(
            wait(TimeLimit(30), asyncio.get_running_loop().create_future())
        )
        await asyncio.sleep(0)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_leaves_nothing_behind(self) -> None:
        limit = TimeLimit(0.01)
        with pytest.raises(TimeoutError):
            await wait(limit, asyncio.get_running_loop().create_future())

        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.02)
