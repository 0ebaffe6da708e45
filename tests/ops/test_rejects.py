"""Rejected deliveries: shown without anybody's data, and stored as events once they can be read."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.conftest import Database
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.database import Pool
from c2s_enrich.ops.rejects import RejectsDesk, body_text
from c2s_enrich.sandbox.simulators.population import Person, populate
from c2s_enrich.wiring.operators import build_rejects

Command = Callable[..., Result]
LEAD = "a" * 32
MOMENT = "2025-06-01T10:00:00-03:00"
PERSON: Person = populate(3, 1)[0]


@pytest.fixture
def command(db: Database, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("DATABASE_URL", db.url)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def desk(db: Database, pool: Pool) -> RejectsDesk:
    return build_rejects(db.settings(), pool)


async def invoke(command: Command, *arguments: str) -> Result:
    """Commands run their own event loop, so they get a thread of their own here."""
    return await asyncio.to_thread(command, *arguments)


def body(lead_id: str = LEAD, **more: Any) -> bytes:
    return json.dumps({"id": lead_id, "updated_at": MOMENT} | more).encode()


async def kept(
    db: Database,
    raw: bytes,
    reason: str = "not_json",
    lead_id: str | None = None,
    headers: str = "{}",
) -> UUID:
    """A rejected delivery as an older parser left it."""
    query = (
        "insert into rejected_deliveries (raw, reason, lead_id, headers) values (%s, %s, %s, %s)"
        " returning id"
    )
    row_id: UUID = await db.value(query, (raw, reason, lead_id, headers))
    return row_id


class TestReplaying:
    async def test_stores_what_is_an_event_by_now_and_marks_it_in_one_go(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, body(), headers='{"hook_action": "on_close_lead"}')

        done = await desk.replay(reject_id)

        assert done is not None
        assert (done.stored, done.flaws) == (1, ())
        [event] = await db.fetch(
            "select lead_id, status, hook_action, payload_raw from webhook_events"
        )
        assert (event.lead_id, event.status, event.hook_action, event.payload_raw) == (
            LEAD,
            "received",
            "on_close_lead",
            json.loads(body()),
        )
        assert await db.value("select replayed_at is not null from rejected_deliveries")

    async def test_twice_stores_nothing_twice_and_says_so(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, body())
        await desk.replay(reject_id)
        first = await db.value("select replayed_at from rejected_deliveries")

        again = await desk.replay(reject_id)

        assert again is not None
        assert again.already_at == first
        assert await db.value("select count(*) from webhook_events") == 1
        assert await db.value("select replayed_at from rejected_deliveries") == first

    async def test_at_the_same_time_stores_it_once(self, db: Database, desk: RejectsDesk) -> None:
        reject_id = await kept(db, body())

        both = await asyncio.gather(desk.replay(reject_id), desk.replay(reject_id))

        assert sorted(done.stored for done in both if done) == [0, 1]
        assert await db.value("select count(*) from webhook_events") == 1

    async def test_what_still_is_not_an_event_stays_and_says_why(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, b'{"id": 7}', "id_unreadable")

        done = await desk.replay(reject_id)

        assert done is not None
        assert done.flaws == ("The event has no updated_at.",)
        assert await db.value("select replayed_at from rejected_deliveries") is None

    async def test_of_a_batch_stores_the_readable_ones_and_stays_for_the_others(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, b"[" + body("b" * 32) + b", 7, " + body("c" * 32) + b"]")

        first = await desk.replay(reject_id)
        second = await desk.replay(reject_id)

        assert first is not None
        assert second is not None
        assert (first.stored, first.known, first.flaws) == (
            2,
            0,
            ("An event must be a JSON object. (element 1)",),
        )
        assert (second.stored, second.known) == (0, 2)
        assert await db.value("select count(*) from webhook_events") == 2
        assert await db.value("select replayed_at from rejected_deliveries") is None

    async def test_json_that_the_database_refuses_stays_without_taking_its_neighbours_along(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(
            db,
            b"[" + body("b" * 32)[:-1] + b', "number": 1e200000}, ' + body("c" * 32) + b"]",
            "not_storable",
        )

        done = await desk.replay(reject_id)

        assert done is not None
        assert (done.stored, done.flaws) == (1, ("The database does not take this JSON.",))
        assert await db.fetch("select lead_id from webhook_events") == [("c" * 32,)]

    async def test_what_age_or_an_erasure_emptied_is_said_to_be_gone(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, b"")

        done = await desk.replay(reject_id)

        assert done is not None
        assert done.flaws == ("Its bytes were removed, by age or by an erasure.",)

    async def test_of_an_erased_lead_stores_no_content(
        self, db: Database, desk: RejectsDesk
    ) -> None:
        reject_id = await kept(db, body())
        await db.execute("insert into erased_leads (lead_id) values (%s)", (LEAD,))

        await desk.replay(reject_id)

        assert await db.fetch("select status, outcome, payload_raw from webhook_events") == [
            ("completed", "erased", {})
        ]

    async def test_of_what_is_not_there_is_nothing(self, desk: RejectsDesk) -> None:
        assert await desk.replay(uuid4()) is None


class TestReplayingAnotherBodyOfTheSameKey:
    @pytest.fixture
    async def reject_id(self, db: Database) -> UUID:
        """The second of two bodies, kept because it could not be read when it came."""
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
            " select %s, (%s::jsonb ->> 'updated_at')::timestamptz, 'on_update_lead', %s::jsonb",
            (LEAD, body(name="first").decode(), body(name="first").decode()),
        )
        return await kept(db, body(name="second"), "id_missing", LEAD)

    async def test_keeps_both_and_makes_the_second_the_newest(
        self, db: Database, desk: RejectsDesk, reject_id: UUID
    ) -> None:
        done = await desk.replay(reject_id)

        events = await db.fetch(
            "select payload_raw ->> 'name' as name, updated_at from webhook_events order by"
            " updated_at"
        )
        assert done is not None
        assert done.stored == 1
        assert [event.name for event in events] == ["first", "second"]
        assert events[1].updated_at - events[0].updated_at == timedelta(microseconds=1)

    async def test_that_is_kept_twice_is_stored_once(
        self, db: Database, desk: RejectsDesk, reject_id: UUID
    ) -> None:
        twin = await kept(db, body(name="second") + b" ", "id_missing", LEAD)

        await desk.replay(reject_id)
        done = await desk.replay(twin)

        assert done is not None
        assert (done.stored, done.known, done.flaws) == (0, 1, ())
        assert await db.value("select count(*) from webhook_events") == 2

    async def test_a_third_body_finds_the_next_free_place(
        self, db: Database, desk: RejectsDesk, reject_id: UUID
    ) -> None:
        third = await kept(db, body(name="third"), "id_missing", LEAD)

        await desk.replay(reject_id)
        await desk.replay(third)

        names = await db.fetch(
            "select payload_raw ->> 'name' as name from webhook_events order by updated_at"
        )
        assert [row.name for row in names] == ["first", "second", "third"]


class TestShowing:
    async def test_a_list_tells_reason_lead_and_size_but_no_content(
        self, db: Database, command: Command
    ) -> None:
        reject_id = await kept(db, body(name=PERSON.name), "too_deep", LEAD)

        shown = await invoke(command, "rejects", "list", "--reason", "too_deep")

        assert f"{reject_id} too_deep {LEAD} {len(body(name=PERSON.name))} waits" in " ".join(
            shown.output.split()
        )
        assert PERSON.name not in shown.output

    async def test_a_list_hides_what_was_replayed_until_asked(
        self, db: Database, command: Command
    ) -> None:
        reject_id = await kept(db, body())
        await db.execute("update rejected_deliveries set replayed_at = now()")

        shown = await invoke(command, "rejects", "list")
        everything = await invoke(command, "rejects", "list", "--all")

        assert str(reject_id) not in shown.output
        assert str(reject_id) in everything.output

    async def test_one_is_masked_unless_revealed(self, db: Database, command: Command) -> None:
        customer = {
            "name": PERSON.name,
            "phone": PERSON.phone,
            "email": PERSON.email,
            "cpf": PERSON.cpf,
        }
        reject_id = await kept(db, body(customer=customer, hook_action="on_create_lead")[:-1])

        masked = await invoke(command, "rejects", "show", str(reject_id))
        revealed = await invoke(command, "rejects", "show", str(reject_id), "--reveal")

        for part in (LEAD, MOMENT, "on_create_lead", '"customer"'):
            assert part in masked.output
        for secret in (PERSON.name.split()[0], PERSON.phone, PERSON.email, PERSON.cpf):
            assert secret not in masked.output
            assert json.dumps(secret)[1:-1] in revealed.output

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
    def test_masks_in_every_encoding(self, encoding: str) -> None:
        text = f'{{"nome": "{PERSON.name}", "tel": {PERSON.phone}, "cpf": {PERSON.cpf}}}'

        shown = body_text(text.encode(encoding, "replace"), reveal=False)

        for secret in (*PERSON.name.split(), PERSON.phone, PERSON.cpf):
            assert secret not in shown

    @pytest.mark.parametrize(
        "text",
        ["name={name}&cpf={cpf}&tel={phone}", "{name} {cpf} <{email}>", '{{"a": "{name} {phone}'],
    )
    def test_masks_what_is_not_json(self, text: str) -> None:
        filled = text.format(
            name=PERSON.name, cpf=PERSON.cpf, phone=PERSON.phone, email=PERSON.email
        )

        shown = body_text(filled.encode(), reveal=False)

        for secret in (
            *(part for part in PERSON.name.split() if len(part) > 3),
            PERSON.phone,
            PERSON.cpf,
            PERSON.email,
        ):
            assert secret not in shown

    @pytest.mark.parametrize("reveal", [False, True])
    def test_lets_no_byte_command_the_terminal(self, reveal: bool) -> None:
        shown = body_text(
            b"\x1b[2J\x07\x9b0m\xff" + "\u202e\x85".encode() + b'{"\x1b]0;x": 1}', reveal=reveal
        )

        assert all(character.isprintable() or character == "\n" for character in shown)

    async def test_what_is_not_there_is_refused(self, db: Database, command: Command) -> None:
        assert (await invoke(command, "rejects", "show", str(uuid4()))).exit_code == 3


class TestTheReplayCommand:
    async def test_takes_a_reason_and_says_what_became_of_each(
        self, db: Database, command: Command
    ) -> None:
        good, bad = await kept(db, body(), "not_json"), await kept(db, b"{", "not_json")
        other = await kept(db, body("b" * 32), "too_deep")

        done = await invoke(command, "rejects", "replay", "--reason", "not_json")

        assert done.exit_code == 1
        assert f"{good}  1 events stored, 0 known" in done.output
        assert f"{bad}  0 events stored, 0 known; The body is not JSON." in done.output.replace(
            "(element 0)", ""
        )
        assert str(other) not in done.output
        assert await db.fetch("select lead_id from webhook_events") == [(LEAD,)]

    async def test_says_of_a_second_replay_that_it_was_done(
        self, db: Database, command: Command
    ) -> None:
        reject_id = await kept(db, body())

        first = await invoke(command, "rejects", "replay", str(reject_id))
        second = await invoke(command, "rejects", "replay", str(reject_id))

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert "was replayed already" in second.output

    async def test_obeys_a_batch_limit_that_was_raised_for_it(
        self, db: Database, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reject_id = await kept(
            db, b"[" + body("b" * 32) + b"," + body("c" * 32) + b"]", "too_many_events"
        )
        monkeypatch.setenv("BATCH_LIMIT", "1")
        before = await invoke(command, "rejects", "replay", str(reject_id))
        monkeypatch.setenv("BATCH_LIMIT", "2")

        after = await invoke(command, "rejects", "replay", str(reject_id))

        assert "more events than one delivery may" in before.output
        assert "2 events stored" in after.output

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [((), 2), ((str(uuid4()), "--reason", "not_json"), 2), ((str(uuid4()),), 1)],
    )
    async def test_refuses_an_unclear_order(
        self, db: Database, command: Command, arguments: tuple[str, ...], status: int
    ) -> None:
        assert (await invoke(command, "rejects", "replay", *arguments)).exit_code == status


class TestTheOperatorsRole:
    async def test_may_replay(self, db: Database) -> None:
        if not await db.value("select exists (select from pg_roles where rolname = 'c2s_ops')"):
            pytest.skip("the server's owner may not create roles")
        reject_id = await kept(db, body())
        settings = db.settings()

        async def as_operator(connection: psycopg.AsyncConnection[Any]) -> None:
            await connection.execute("set role c2s_ops")

        async with Pool(
            settings.database_url.reveal(),
            kwargs={"autocommit": True},
            configure=as_operator,
            min_size=1,
            open=False,
        ) as pool:
            done = await build_rejects(settings, pool).replay(reject_id)

        assert done is not None
        assert (done.stored, done.flaws) == (1, ())
