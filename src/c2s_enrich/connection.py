"""A connection to Postgres on which no wait is without an end, and statements cost little CPU."""

import asyncio
import re
from collections.abc import Mapping
from select import POLLIN, poll
from typing import Any, TypeVar, cast

from psycopg import AsyncConnection, DataError, OperationalError, abc, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import READY_R, WAIT_R, Wait
from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")

# No statement of a process takes a tenth of it: a silence this long means a server, a pooler or a
# cable that is gone without a word. A person's command may read every row.
ANSWER_SECONDS, COMMAND_SECONDS = 10.0, 600.0
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


class Statement:
    """One of our statements as the server takes it: `$1` stands for psycopg's `%(name)s`."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.text = _PARAMETER.sub(self._place, text).encode()
        self.formats = [PyFormat.TEXT] * len(self.names)

    def _place(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "%"
        if name not in self.names:
            self.names.append(name)
        return f"${self.names.index(name) + 1}"


class Silence(OperationalError):
    """The server, or what stands between, said nothing for too long; the connection is closed."""


class Connection(AsyncConnection[tuple[Any, ...]]):
    """No wait is without an end. After a silence the pool's older connections are closed too."""

    answer_within = ANSWER_SECONDS
    used_at = 0.0
    _transformer: abc.Transformer | None = None
    # The socket that the loop watches from one statement to the next, and who waits for it.
    _watched: int | None = None
    _waiter: asyncio.Future[None] | None = None

    def has_something_to_say(self) -> bool:
        """Between two statements that is mostly that it was closed."""
        told = poll()
        told.register(self.fileno(), POLLIN)
        return bool(told.poll(0))

    async def ask(
        self,
        statement: Statement,
        params: Mapping[str, Any],
        *,
        prepare: bool = True,
        binary: bool = False,
    ) -> tuple[PGresult, list[tuple[Any, ...]]]:
        """One statement's answer and rows, at a third of the CPU of psycopg's cursors."""
        if (transformer := self._transformer) is None:
            transformer = self._transformer = Transformer(self)
            self._names: dict[Statement, bytes] = {}
            self._named = 0
        given = [
            list(value) if isinstance(value := params[name], tuple | set | frozenset) else value
            for name in statement.names
        ]
        async with self.lock:
            # As text of no type: the casts in the statement say what each is.
            values = transformer.dump_sequence(given, statement.formats)
            try:
                if not prepare or self.prepare_threshold is None:
                    self.pgconn.send_query_params(statement.text, values, result_format=binary)
                else:
                    name = self._names.get(statement) or await self._name(statement)
                    self.pgconn.send_query_prepared(name, values, result_format=binary)
                result = await self._result()
            except BaseException:
                self._unwatch()
                raise
            transformer.set_pgresult(result)
            return result, transformer.load_rows(0, result.ntuples, tuple)

    async def _name(self, statement: Statement) -> bytes:
        # A name is never used again: whether one that was cancelled stands is not known.
        self._named += 1
        name = b"ours_%d" % self._named
        self.pgconn.send_prepare(name, statement.text)
        await self._result()
        self._names[statement] = name
        return name

    async def _result(self) -> PGresult:
        results = await self._answer(execute(self.pgconn))
        for result in results:
            # A server that ends says why, and libpq adds that it is gone.
            if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                raise errors.error_from_result(result)
        return results[0]

    async def _answer(self, steps: abc.PQGen[list[PGresult]]) -> list[PGresult]:
        """As psycopg's wait, at half the CPU: nearly always everything is sent at once, and what
        comes first is the whole answer.
        """
        try:
            if (state := next(steps)) == WAIT_R:
                await self._readable(steps)
                state = steps.send(READY_R)
        except StopIteration as end:
            return cast("list[PGresult]", end.value)
        return await self.wait(_rest(steps, state))

    async def _readable(self, steps: abc.PQGen[list[PGresult]]) -> None:
        loop = asyncio.get_running_loop()
        if self._watched is None:
            self._watched = self.pgconn.socket
            loop.add_reader(self._watched, self._heard)
        self._waiter = waiter = loop.create_future()
        timer = loop.call_later(self.answer_within, _overdue, waiter)
        try:
            await waiter
        except TimeoutError:
            raise await self._silence() from None
        except asyncio.CancelledError:
            try:
                await self._try_cancel(timeout=5.0)
                await self.wait(_rest(steps, WAIT_R), timeout=5.0)
            except BaseException:
                # In what state it is nobody knows.
                self._unwatch()
                self.pgconn.finish()
            raise
        finally:
            self._waiter = None
            timer.cancel()

    def _heard(self) -> None:
        if self._waiter is None:
            # Nobody asked: who takes the connection next looks at it.
            self._unwatch()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _unwatch(self) -> None:
        """Before anybody else watches the socket, and before it is closed: its number comes again
        with the next connection.
        """
        watched, self._watched = self._watched, None
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched)

    async def close(self) -> None:
        self._unwatch()
        await super().close()

    async def wait(
        self,
        gen: abc.PQGen[T],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T:
        """psycopg's own wait, with a limit. Raises Silence."""
        self._unwatch()
        try:
            return await super().wait(gen, interval, timeout or self.answer_within)
        except errors._WaitTimeout:
            if timeout is not None:
                raise
            raise await self._silence() from None

    async def _silence(self) -> Silence:
        self._unwatch()
        self.pgconn.finish()
        # Only a pool gives its connections this attribute.
        pool: AsyncConnectionPool[Any] | None = getattr(self, "_pool", None)
        if pool is not None and self._created_at > pool._drained_at:
            await pool.drain()
        return Silence(f"no answer within {self.answer_within:.0f} s")


def _rest(steps: abc.PQGen[T], state: Wait) -> abc.PQGen[T]:
    """The steps from where they wait for `state`. psycopg's wait begins with an empty answer, which
    a statement or an answer that has gone half its way does not take.
    """
    while True:
        while not (ready := (yield state)):
            pass
        try:
            state = steps.send(ready)
        except StopIteration as end:
            return cast(T, end.value)


def _overdue(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def is_unsendable(error: BaseException) -> bool:
    """Whether a value of the statement cannot be sent to the database at all: a text with a NUL."""
    return isinstance(error, DataError) and error.sqlstate is None
