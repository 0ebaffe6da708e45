"""The floor: what a lead costs when nothing is decided. Prints one line of JSON.

usage: floor.py PORT LEADS SLOTS      four exchanges and 14 plain statements for each lead

The exchanges go through the product's own transport, the statements over connections that stay
open: an insert, updates and selects by primary key of some hundred bytes.
"""

import asyncio
import json
import os
import resource
import sys
import time

import httpx
import psycopg
from bench.pipeline import numbers

from c2s_enrich.upstreams.transport import Transport

PORT, LEADS, SLOTS = (int(argument) for argument in sys.argv[1:4])
CONNECTIONS = 8
TABLE = "create table floor (id bigint primary key, state text not null, body text not null)"


async def exchange(transport: Transport, method: str, path: str, body: object = None) -> bytes:
    request = httpx.Request(
        method, f"http://127.0.0.1:{PORT}{path}", json=body, headers={"accept-encoding": "identity"}
    )
    async with asyncio.timeout(15):
        response = await transport.handle_async_request(request)
        return b"".join([part async for part in response.stream])  # type: ignore[union-attr]


async def main() -> None:
    url = os.environ["DATABASE_URL"]
    transport = Transport(8 * 1024 * 1024)
    pool: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        pool.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True))
    one = pool.get_nowait()
    await one.execute(TABLE)
    pool.put_nowait(one)

    async def ask(statement: str, parameters: tuple[object, ...]) -> None:
        connection = await pool.get()
        try:
            await connection.execute(statement, parameters)
        finally:
            pool.put_nowait(connection)

    async def statements(count: int, number: int) -> None:
        for turn in range(count):
            if turn % 2:
                await ask("select body from floor where id = %s", (number,))
            else:
                await ask("update floor set state = %s where id = %s", (f"state {turn}", number))

    async def lead(number: int) -> None:
        await ask("insert into floor values (%s, 'received', %s)", (number, "x" * 600))
        await statements(3, number)
        found = await asyncio.gather(
            exchange(transport, "GET", f"/diretrix/Consultas/Pessoa/Telefone/119{number:08d}"),
            exchange(transport, "GET", f"/diretrix/Consultas/Pessoa/Email/p{number}@example.com"),
        )
        cpf = json.loads(found[0])[0]["cpf"]
        await statements(4, number)
        await exchange(transport, "GET", f"/work_api?token=x&modulo=cpf&consulta={cpf}")
        await statements(4, number)
        body = {"body": "x" * 600, "external_id": "ref"}
        await exchange(transport, "POST", f"/c2s/leads/lead-{number}/create_message", body)
        await statements(2, number)

    waiting = iter(numbers(LEADS))

    async def slot() -> None:
        for number in waiting:
            await lead(number)

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(SLOTS)))
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    per_lead = {"leads_per_second": round(LEADS / took, 1), "cpu_ms_per_lead": used * 1000 / LEADS}
    print(json.dumps(per_lead))


asyncio.run(main())
