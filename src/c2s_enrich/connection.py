"""A connection to Postgres on which no wait is without an end, and statements cost little CPU."""

import asyncio
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from select import POLLIN, poll
from types import MappingProxyType
from typing import Any, LiteralString, TypeVar, cast

from psycopg import AsyncConnection, DataError, OperationalError, abc, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import READY_R, READY_W, WAIT_R, WAIT_W, Ready, Wait
from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")

# No statement of a process takes a tenth of it: a silence this long means a server, a pooler or a
# cable that is gone without a word. A person's command may read every row.
ANSWER_SECONDS, COMMAND_SECONDS = 10.0, 600.0
_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_LEADING = re.compile(r"^\s*(--.*\n?)?", re.MULTILINE)
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


def sql_folder() -> Path:
    """The folder `sql/`: inside the package in a wheel, at the top of a checkout."""
    packed = Path(__file__).parent / "sql"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "sql"


@cache
def statements(topic: str) -> Mapping[str, LiteralString]:
    """The statements of `sql/queries/<topic>.sql`. Raises ValueError on a name given twice."""
    text = (sql_folder() / "queries" / f"{topic}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    found: dict[str, LiteralString] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ValueError(f"sql/queries/{topic}.sql defines {name} twice")
        # psycopg reads a statement of more than 4,096 characters again for each execution, which
        # took as much CPU as all the rest of a claim. So comments and indentation stay here.
        # We vouch for it: the text comes from our own files and no value is ever spliced into it.
        found[name] = _LEADING.sub("", statement).strip()
    return MappingProxyType(found)


@cache
def wire_statements(topic: str) -> Mapping[str, Statement]:
    return {name: Statement(text) for name, text in statements(topic).items()}


class Silence(OperationalError):
    """The server, or what stands between, said nothing for too long; the connection is closed."""


class Connection(AsyncConnection[tuple[Any, ...]]):
    """No wait is without an end. After a silence the pool's older connections are closed too."""

    answer_within = ANSWER_SECONDS
    used_at = 0.0
    _transformer: abc.Transformer | None = None
    # The socket that the loop watches from one statement to the next, and who waits for it.
    _watched: int | None = None
    _waiter: asyncio.Future[Ready] | None = None

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
            if not prepare or self.prepare_threshold is None:
                self.pgconn.send_query_params(statement.text, values, result_format=binary)
            else:
                name = self._names.get(statement) or await self._name(statement)
                self.pgconn.send_query_prepared(name, values, result_format=binary)
            result = await self._result()
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
        results: list[PGresult] = await self.wait(execute(self.pgconn))
        for result in results:
            # A server that ends says why, and libpq adds that it is gone.
            if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                self._unwatch()
                raise errors.error_from_result(result)
        return results[0]

    async def wait(
        self,
        gen: abc.PQGen[T],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T:
        """psycopg's wait with a limit, at two thirds of its CPU: the loop watches the socket from
        one statement to the next. Raises Silence.
        """
        limit = self.answer_within if timeout is None else timeout
        state: Wait = WAIT_R
        try:
            state = next(gen)
            while True:
                state = gen.send(await self._ready(state, limit))
        except StopIteration as end:
            return cast(T, end.value)
        except BaseException as error:
            if isinstance(error, TimeoutError):
                if timeout is None:
                    raise await self._silence() from None
                raise errors._WaitTimeout from None
            if isinstance(error, asyncio.CancelledError):
                await self._stop(gen, state)
            else:
                self._unwatch()
            raise

    async def _stop(self, steps: abc.PQGen[Any], state: Wait) -> None:
        """Ends the statement whose answer nobody waits for, so that others can be asked."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        try:
            await self._try_cancel(timeout=5.0)
            while True:
                state = steps.send(await self._ready(state, 5.0))
        except (StopIteration, errors.QueryCanceled):
            pass
        except BaseException:
            # In what state it is nobody knows.
            self._unwatch()
            self.pgconn.finish()

    async def _ready(self, state: Wait, seconds: float) -> Ready:
        """What the socket is ready for. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._watched is None:
            self._watched = self.pgconn.socket
            loop.add_reader(self._watched, self._heard, READY_R)
        if state & WAIT_W:
            loop.add_writer(self._watched, self._heard, READY_W)
        waiter: asyncio.Future[Ready] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_later(seconds, _overdue, waiter)
        try:
            return await waiter
        finally:
            self._waiter = None
            timer.cancel()
            if state & WAIT_W and self._watched is not None:
                loop.remove_writer(self._watched)

    def _heard(self, ready: Ready) -> None:
        if self._waiter is None:
            # Nobody asked: who takes the connection next looks at it.
            self._unwatch()
        elif not self._waiter.done():
            self._waiter.set_result(ready)

    def _unwatch(self) -> None:
        """Before the socket is closed: its number comes again with the next connection."""
        watched, self._watched = self._watched, None
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched)

    async def close(self) -> None:
        self._unwatch()
        await super().close()

    async def _silence(self) -> Silence:
        self._unwatch()
        self.pgconn.finish()
        # Only a pool gives its connections this attribute.
        pool: AsyncConnectionPool[Any] | None = getattr(self, "_pool", None)
        if pool is not None and self._created_at > pool._drained_at:
            await pool.drain()
        return Silence(f"no answer within {self.answer_within:.0f} s")


def _overdue(waiter: asyncio.Future[Ready]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def is_unsendable(error: BaseException) -> bool:
    """Whether a value of the statement cannot be sent to the database at all: a text with a NUL."""
    return isinstance(error, DataError) and error.sqlstate is None
