"""One peer queue on the same Postgres: the drain and the pick-up that our own poller does.

usage: peer.py URL SYSTEM EVENTS SLOTS SAMPLES      prints one line of JSON

Runs in the peers' environment, without the product. The settings are those with which each system
was fastest here; `SLOTS` is how many jobs it works on at once.
"""

import asyncio
import json
import logging
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

URL, SYSTEM = sys.argv[1:3]
EVENTS, SLOTS, SAMPLES = (int(argument) for argument in sys.argv[3:6])
PAYLOAD = json.loads(sys.stdin.read())
BATCH = 1000

ends: list[float] = []
entered: "asyncio.Queue[float]"


def handled(is_probe: bool) -> None:
    now = time.perf_counter()
    if is_probe:
        entered.put_nowait(now)
    else:
        ends.append(now)


@contextmanager
def measured(out: dict[str, float]) -> Any:
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    out["per_second"] = round(EVENTS / (ends[-1] - began))
    out["cpu_ms_per_event"] = round(used * 1000 / EVENTS, 3)


async def until_drained() -> None:
    until = time.monotonic() + 300
    while len(ends) < EVENTS:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(ends)} of {EVENTS}")
        await asyncio.sleep(0.005)


async def probe(enqueue: Callable[[], Awaitable[Any]], out: dict[str, float]) -> None:
    waits = []
    await asyncio.sleep(1.5)
    for _ in range(SAMPLES):
        sent = time.perf_counter()
        await enqueue()
        waits.append((await asyncio.wait_for(entered.get(), 30) - sent) * 1000)
        await asyncio.sleep(0.02)
    waits.sort()
    out["p50_ms"] = round(waits[len(waits) // 2], 2)
    out["p99_ms"] = round(waits[min(len(waits) - 1, int(len(waits) * 0.99))], 2)


def batches() -> range:
    return range(0, EVENTS, BATCH)


async def procrastinate(out: dict[str, float]) -> None:
    import procrastinate as library

    connector = library.PsycopgConnector(conninfo=URL, min_size=2, max_size=20)
    app = library.App(connector=connector)

    @app.task(queue="q", name="noop")
    async def noop(payload: Any, is_probe: bool = False) -> None:
        handled(is_probe)

    options: dict[str, Any] = {"queues": ["q"], "install_signal_handlers": False}
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for _ in batches():
            await noop.batch_defer_async(*[{"payload": PAYLOAD}] * BATCH)
        with measured(out):
            await app.run_worker_async(
                wait=False, concurrency=SLOTS, listen_notify=False, delete_jobs="never", **options
            )
        worker = asyncio.create_task(app.run_worker_async(concurrency=8, **options))
        await probe(lambda: noop.defer_async(payload=PAYLOAD, is_probe=True), out)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def pgqueuer(out: dict[str, float]) -> None:
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgPoolDriver
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    body = json.dumps(PAYLOAD).encode()
    pool = await asyncpg.create_pool(URL, min_size=2, max_size=20)
    queries = Queries(AsyncpgPoolDriver(pool))
    await queries.install()
    for _ in batches():
        await queries.enqueue(["noop"] * BATCH, [body] * BATCH, [0] * BATCH)

    def make() -> Any:
        queue = PgQueuer(AsyncpgPoolDriver(pool))

        @queue.entrypoint("noop")
        async def noop(job: Any) -> None:
            handled(False)

        @queue.entrypoint("probe")
        async def probed(job: Any) -> None:
            handled(True)

        return queue

    with measured(out):
        await make().qm.run(batch_size=SLOTS, mode=QueueExecutionMode.drain)
    queue = make()
    worker = asyncio.create_task(queue.qm.run(batch_size=10))
    await probe(lambda: queries.enqueue("probe", body), out)
    queue.qm.shutdown.set()
    await asyncio.wait([worker], timeout=10)
    await pool.close()


@dataclass
class Noop:
    payload: dict
    is_probe: bool = False


async def awa(out: dict[str, float]) -> None:
    import awa as library

    # It refuses an empty host; the address has the socket's folder in its query.
    client = library.AsyncClient(URL.replace("postgres@/", "postgres@localhost/"))
    await client.migrate()
    await client.install_queue_storage()

    @client.task(Noop, queue="q")
    async def noop(job: Any) -> None:
        handled(job.args.is_probe)

    for _ in batches():
        await client.enqueue_many_copy([Noop(PAYLOAD)] * BATCH, queue="q")
    with measured(out):
        await client.start([("q", SLOTS)])
        await until_drained()
    await probe(lambda: client.insert(Noop(PAYLOAD, True), queue="q"), out)
    await client.shutdown()


async def chancy_noop(*, payload: dict, is_probe: bool = False) -> None:
    handled(is_probe)


async def chancy(out: dict[str, float]) -> None:
    from chancy import Chancy, Job, Queue, Worker

    log = logging.getLogger("quiet")
    async with Chancy(URL, log=log, max_connection_pool_size=20) as app:
        await app.migrate()
        executor = Chancy.Executor.Async
        queue = Queue(
            "q", concurrency=SLOTS, executor=executor, eager_polling=True, polling_interval=1
        )
        await app.declare(queue)
        job = Job.from_func(chancy_noop).with_queue("q")
        for _ in batches():
            async for _ in app.push_many([job.with_kwargs(payload=PAYLOAD)] * BATCH):
                pass
        with measured(out):
            worker = Worker(app, register_signal_handlers=False)
            await worker.start()
            await until_drained()
        one = job.with_kwargs(payload=PAYLOAD, is_probe=True)
        await probe(lambda: app.push(one), out)
        await worker.stop()


async def oban(out: dict[str, float]) -> None:
    from oban import Oban, worker
    from oban.schema import install

    pool = await Oban.create_pool(URL, max_size=20)
    await install(pool)

    @worker(queue="q", max_attempts=3)
    class Task:
        async def process(self, job: Any) -> None:
            handled(job.args.get("is_probe", False))

    client = Oban(pool=pool, name="client")
    await client.start()
    for _ in batches():
        await client.enqueue_many([Task.new({"payload": PAYLOAD}) for _ in range(BATCH)])
    server = Oban(pool=pool, queues={"q": SLOTS})
    with measured(out):
        await server.start()
        await until_drained()
    await probe(lambda: server.enqueue(Task.new({"payload": PAYLOAD, "is_probe": True})), out)
    await server.stop()
    await client.stop()
    await pool.close()


async def main() -> None:
    global entered
    logging.disable(logging.WARNING)
    entered = asyncio.Queue()
    out: dict[str, float] = {}
    await globals()[SYSTEM](out)
    print(json.dumps(out), flush=True)


asyncio.run(main())
