"""Personal data stays inside: no CPF, contact or credential is in a log, an error, a metric or a
page.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from tests.conftest import Database
from tests.promises.conftest import Product

from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.web import build_web

WEBHOOK = "/api/v1/webhooks/c2s"
# Shown by somebody who is not C2S, or who uses a secret of somewhere else.
WRONG_TOKEN = "canary-wrong-0f3b9a6d"
# The ways in which an upstream fails while it says personal things.
WAYS = (
    "error500",
    "garbage",
    "refused",
    "truncated",
    "redirect",
    "throttled",
    "reset",
    "unauthorised",
)
PAGES = ("/", "/livez", "/readyz", "/health", "/openapi.json", "/metrics", "/admin")
COLUMNS = (
    ("webhook_events", "status, outcome, error_kind, error_message, waiting_for, claimed_by"),
    ("event_attempts", "error_kind, calls, error_message, steps, worker"),
    ("upstreams", "reason"),
    ("rejected_deliveries", "reason, detail, headers"),
    ("pollers", "name"),
)
COMMANDS = (
    ("events", "list"),
    ("messages", "list"),
    ("upstreams", "list"),
    ("rejects", "list", "--all"),
    ("doctor",),
)


def canaries(person: Person) -> tuple[str, ...]:
    """Everything that must not come out, in the forms in which it could."""
    cpf, phone = person.cpf, person.phone
    return (
        *(cpf, f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}", cpf.lstrip("0")),
        *(phone, phone[2:], f"({phone[:2]}) {phone[2:7]}-{phone[7:]}"),
        *(person.email, person.email.replace("@", "%40"), person.name),
        *(WEBHOOK_TOKEN, WRONG_TOKEN, "a-work-token", "a-password", "a-c2s-token"),
    )


def assert_clean(where: str, text: str, person: Person) -> None:
    found = [canary for canary in canaries(person) if canary.lower() in text.lower()]
    lines = [
        line
        for line in text.splitlines()
        if any(canary.lower() in line.lower() for canary in found)
    ]
    assert not found, f"{where}: {lines[:3]}"


async def assert_nothing_came_out(product: Product, person: Person) -> None:
    """Looks at every place where somebody who may not see people looks: tables' words about events,
    pages, commands, logs.
    """
    for table, columns in COLUMNS:
        for row in await product.db.fetch(f"select {columns} from {table}"):
            assert_clean(table, str(row), person)
    for page in PAGES:
        answer = await product.stage.client.get(product.stage.web_url + page)
        assert_clean(page, f"{answer.headers}\n{answer.text}", person)
    for arguments in COMMANDS:
        _, said = await product.stage.ask(*arguments)
        assert_clean(" ".join(arguments), said, person)
    product.stage.end_all(patience=5)
    for name in set(product.stage.processes) - {"simulators"}:
        log = product.stage.log_of(name).read_text()
        assert all(json.loads(line) for line in log.splitlines())
        assert_clean(f"the log of {name}", log, person)


def body_about(person: Person, lead_id: str, second: int = 0) -> bytes:
    customer = {
        "name": person.name,
        "phone": f"55{person.phone}",
        "email": person.email,
        "cpf": person.cpf,
    }
    attributes = {
        "updated_at": f"2025-06-01T11:00:{second:02}-03:00",
        "customer": customer,
        "description": f"CPF {person.cpf}",
    }
    return json.dumps(
        {"id": lead_id, "hook_action": "on_create_lead", "attributes": attributes}
    ).encode()


async def send_by_every_route(client: httpx.AsyncClient, url: str, person: Person) -> Counter[int]:
    """Canaries in headers, addresses, queries and bodies, to everything that answers. No answer
    says any of them.
    """
    good = {"X-Webhook-Token": WEBHOOK_TOKEN}
    about = body_about(person, "a" * 32)
    mail = person.email.replace("@", "%40")
    query = f"?token={WEBHOOK_TOKEN}&cpf={person.cpf}&email={mail}&hook_action={person.cpf}"
    requests: list[tuple[str, str, dict[str, str], bytes]] = [
        # What is right, by each way in, with a query that says too much; the later ones are
        # duplicates.
        ("POST", WEBHOOK, good, about),
        ("POST", WEBHOOK, {"Authorization": f"Bearer {WEBHOOK_TOKEN}"}, about),
        ("POST", f"{WEBHOOK}/{WEBHOOK_TOKEN}", {}, about),
        ("POST", f"{WEBHOOK}/{WEBHOOK_TOKEN}{query}", {"X-Webhook-Event": person.phone}, about),
        ("POST", WEBHOOK, good, about.replace(b"on_create_lead", b"on_update_lead")),
        # Who is not let in.
        (
            "POST",
            WEBHOOK,
            {"X-Webhook-Token": WRONG_TOKEN, "User-Agent": f"c2s {person.email}"},
            about,
        ),
        ("POST", WEBHOOK, {"Authorization": f"Bearer {WRONG_TOKEN}"}, about),
        ("POST", f"{WEBHOOK}/{WRONG_TOKEN}/{person.cpf}/{mail}", {}, about),
        ("POST", WEBHOOK + query, {}, about),
        # Request ids are repeated in the log and in the answer: not these.
        *(
            ("POST", WEBHOOK, good | {"X-Request-Id": word}, about)
            for word in (WEBHOOK_TOKEN, person.cpf, person.phone)
        ),
        *(("GET", page, {"X-Request-Id": person.cpf}, b"") for page in PAGES),
        # Addresses and methods that are not there.
        ("GET", f"/{WEBHOOK_TOKEN}/{person.cpf}{query}", {"Cookie": f"token={WEBHOOK_TOKEN}"}, b""),
        ("POST", f"/api/v1/webhooks/{WEBHOOK_TOKEN}{query}", {}, about),
        ("PUT", f"{WEBHOOK}/{WEBHOOK_TOKEN}{query}", {}, about),
        *(("GET", page + query, {"Referer": f"http://x/{person.cpf}"}, b"") for page in PAGES),
        # Bodies that are refused or kept.
        ("POST", WEBHOOK, good, about[:-2]),
        ("POST", WEBHOOK, good, about.replace(b'"id"', b'"no_id"')),
        ("POST", WEBHOOK, good, about.replace(b"-03:00", b" " + person.email.encode())),
        ("POST", WEBHOOK, good, about.replace(b"CPF", b"\\u0000")),
        (
            "POST",
            WEBHOOK,
            good,
            about.replace(b'"CPF ' + person.cpf.encode() + b'"', b"1e200000").replace(
                b"a" * 32, b"b" * 32
            ),
        ),
        ("POST", WEBHOOK, good, about.replace(b"a" * 32, person.cpf.encode() * 40)),
        ("POST", WEBHOOK, good, b"[" + about + b"," + about[:-2] + b"]"),
        ("POST", WEBHOOK, good, about + b"\xff" + about),
        ("POST", WEBHOOK, good | {"Content-Encoding": person.cpf}, about),
        ("POST", WEBHOOK, good, about * 5000),
    ]
    statuses: Counter[int] = Counter()
    for method, address, headers, body in requests:
        answer = await client.request(method, url + address, headers=headers, content=body)
        assert_clean(
            f"the answer to {method}, status {answer.status_code}",
            f"{answer.headers}\n{answer.text}",
            person,
        )
        statuses[answer.status_code] += 1
    return statuses


async def send_what_is_no_http(port: int, person: Person) -> None:
    for line in (
        f"GET /{WEBHOOK_TOKEN} {person.cpf} {person.email}\r\n\r\n",
        f"POST {WEBHOOK}/{WEBHOOK_TOKEN} HTTP/1.1\r\n{person.cpf}\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line.encode())
        assert_clean("the answer to what is no HTTP", (await reader.read(4096)).decode(), person)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Gossip:
    """An upstream that fails in the way it is told to, and names the person and our credentials
    while it does.
    """

    def __init__(self, person: Person) -> None:
        self.way = "error500"
        self.failed: Counter[str] = Counter()
        self.port = 0
        self._person = person

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (
                    int(line[15:])
                    for line in head.splitlines()
                    if line.lower().startswith("content-length:")
                ),
                0,
            )
            asked = head + (await reader.readexactly(length)).decode()
            writer.write(self._answer_to(asked))
            await writer.drain()
            self.failed[self.way] += 1
        if self.way == "reset":
            writer.transport.abort()
        writer.close()

    def _answer_to(self, asked: str) -> bytes:
        person = self._person
        told = f"{person.name} {person.cpf} {person.phone} {person.email} {asked}"
        document = json.dumps(
            {
                "error": told,
                "message": person.name,
                "msg": person.email,
                "reason": told,
                "cpf": person.cpf,
            }
        )
        status, text = {
            "error500": (f"500 {person.cpf}", document),
            "garbage": ("200 OK", f"<html><body>{told}</body></html>"),
            "refused": (
                f"422 {person.name}",
                json.dumps({"error": f"CPF {person.cpf}", "message": f"{person.email} is no lead"}),
            ),
            "truncated": ("200 OK", document[: len(document) // 2]),
            "redirect": (
                f"302 Found\r\nLocation: http://127.0.0.1:9/?cpf={person.cpf}&token=a-work-token",
                document,
            ),
            "throttled": (f"429 Slow\r\nRetry-After: {person.cpf}", document),
            "reset": ("200 OK\r\nX-More: yes", document),
            "unauthorised": (
                f'401 Who\r\nWWW-Authenticate: Basic realm="{person.email}"',
                document,
            ),
        }[self.way]
        sized = len(text.encode()) * (2 if self.way == "reset" else 1)
        return (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length:"
            f" {sized}\r\nConnection: close\r\n\r\n{text}"
        ).encode()


@asynccontextmanager
async def gossiping(person: Person) -> AsyncIterator[Gossip]:
    gossip = Gossip(person)
    server = await asyncio.start_server(gossip.answer, "127.0.0.1", 0)
    gossip.port = server.sockets[0].getsockname()[1]
    try:
        yield gossip
    finally:
        server.close()


class TestTheLogs:
    async def test_hold_nothing_personal_and_no_credential(self, product: Product) -> None:
        product.stage.start_poller()
        person = product.people[2]

        await product.deliver("c" * 32, person)
        await product.until_all_ended()
        product.stage.end_all()

        logs = "".join(product.stage.log_of(name).read_text() for name in ("web", "poller"))
        assert json.loads(logs.splitlines()[0])
        for secret in (
            person.cpf,
            person.phone,
            person.email,
            "a-work-token",
            "a-password",
            "demo-webhook-token",
        ):
            assert secret not in logs


class TestWhatIsDelivered:
    async def test_comes_out_nowhere_by_whichever_route_it_came(self, product: Product) -> None:
        person = product.people[4]

        statuses = await send_by_every_route(product.stage.client, product.stage.web_url, person)
        await send_what_is_no_http(product.stage.web_port, person)

        # Every kind of answer was among them, or the canaries were not everywhere.
        assert {200, 400, 401, 404, 405, 413, 415} <= set(statuses)
        assert await product.db.value("select count(*) from rejected_deliveries") >= 6
        await assert_nothing_came_out(product, person)

    async def test_comes_out_nowhere_when_it_is_replayed_and_shown(self, product: Product) -> None:
        person = product.people[5]
        await send_by_every_route(product.stage.client, product.stage.web_url, person)
        ids = [
            str(row.id)
            for row in await product.db.fetch("select id from rejected_deliveries order by id")
        ]

        said = ""
        for arguments in (
            ("replay", *ids),
            ("replay", *ids),
            *(("show", reject_id) for reject_id in ids),
        ):
            said += (await product.stage.ask("rejects", *arguments))[1]

        assert all(reject_id in said for reject_id in ids)
        assert_clean("rejects replay and show", said, person)
        await assert_nothing_came_out(product, person)

    async def test_is_in_no_metric(self, db: Database, product: Product) -> None:
        person = product.people[6]
        metrics = Metrics()
        web = build_web(db.settings("web", WEBHOOK_SECRET=WEBHOOK_TOKEN), metrics)

        async with web.router.lifespan_context(web):
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(web), base_url="http://web"
            ) as client:
                await send_by_every_route(client, "", person)

        told = generate_latest(metrics.registry).decode()
        assert "c2s_intake_requests" in told
        assert_clean("the metrics", told, person)


class TestAFailingUpstream:
    @pytest.mark.parametrize("upstream", ["diretrix", "work_api", "c2s"])
    async def test_gets_nothing_that_it_says_into_an_error(
        self, product: Product, upstream: str
    ) -> None:
        async with gossiping(product.people[7]) as gossip:
            product.stage.start_poller(
                **{f"{upstream.upper()}_BASE_URL": f"http://127.0.0.1:{gossip.port}"}
            )
            for number, way in enumerate(WAYS):
                gossip.way = way
                await product.db.execute(
                    "update upstreams set paused_until = null, probing_until = null, failures = 0"
                )
                lead = f"{number + 1:032x}"
                # The same contacts each time: who failed is remembered nowhere.
                await product.deliver(lead, product.people[7])
                await product.until(
                    f"an attempt has met {upstream} with {way}",
                    "exists (select from event_attempts a join webhook_events e on e.id ="
                    f" a.event_id where e.lead_id = '{lead}')",
                )

        assert set(gossip.failed) == set(WAYS)
        await assert_nothing_came_out(product, product.people[7])


class TestAFailingDatabase:
    async def test_gets_no_row_that_it_quotes_into_an_error(self, product: Product) -> None:
        person = product.people[8]
        # Postgres says "Failing row contains (…)": the whole message with the CPF.
        await product.db.execute(
            "alter table lead_messages add constraint never check (body = '') not valid"
        )
        try:
            product.stage.start_poller(MAX_ATTEMPTS="1")
            await product.deliver("d" * 32, person)
            await product.until(
                "an attempt has met the constraint", "exists (select from event_attempts)"
            )
        finally:
            await product.db.execute("alter table lead_messages drop constraint never")

        assert "CheckViolation" in await product.db.value(
            "select error_message from event_attempts order by finished_at limit 1"
        )
        await assert_nothing_came_out(product, person)

    async def test_that_is_away_tells_no_password(self, product: Product, tmp_path: Path) -> None:
        person = product.people[9]
        async with Stage(
            tmp_path / "away",
            "postgresql://user:canary-password@127.0.0.1:9/nowhere",
            settings={"STORE_TIMEOUT": "1"},
        ) as away:
            await away.start_web()
            answer = await away.client.post(
                f"{away.web_url}{WEBHOOK}/{WEBHOOK_TOKEN}", content=body_about(person, "e" * 32)
            )
            health = await away.client.get(f"{away.web_url}/health")
            away.end_all(patience=5)
            told = away.log_of("web").read_text() + answer.text + health.text

        assert (answer.status_code, health.status_code) == (503, 503)
        assert "canary-password" not in told
        assert_clean("web without a database", told, person)
