"""`erase` with its plan, and `privacy suppress | unsuppress | list | export | places`: personal
data comes on standard input and leaves on stdout only where it was asked for.
"""

import asyncio
import json
from pathlib import Path

import pytest
from tests.brokerage import Brokerage
from tests.conftest import ENVIRONMENT
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.telemetry.lines import Logger


@pytest.fixture
def environment(brokerage: Brokerage, monkeypatch: pytest.MonkeyPatch) -> Brokerage:
    for name, value in (ENVIRONMENT | {"DATABASE_URL": brokerage.db.url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HASH_KEY", brokerage.db.settings("poller").hash_key.reveal())
    return brokerage


async def invoke(*arguments: str, given: str = "") -> Result:
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), given)
    # The command's log goes to a stream that is closed by now; what follows here logs elsewhere.
    Logger.write = None
    return done


class TestErase:
    async def test_shows_the_leads_of_each_contact_before_anything_is_removed(
        self, environment: Brokerage
    ) -> None:
        ana = environment.people[0]
        await environment.accept("lead-ana", ana)
        await environment.work()

        shown = await invoke("erase", "--cpf-stdin", "--dry-run", given=ana.cpf)
        refused = await invoke("erase", "--cpf-stdin", given=ana.cpf)

        assert f"+55{ana.phone} reaches 1 lead (lead-ana)" in shown.stderr
        assert "To erase: 1 lead (lead-ana)." in shown.stderr
        assert refused.exit_code == 2
        assert await environment.outcomes() == {"lead-ana": "enriched"}

    async def test_prints_what_erases_again_after_a_restore(
        self, environment: Brokerage, tmp_path: Path
    ) -> None:
        ana = environment.people[0]
        await environment.accept("lead-ana", ana)
        await environment.work()
        done = await invoke("erase", "--cpf-stdin", "--yes", given=ana.cpf)
        kept = tmp_path / "erased.txt"
        kept.write_text(done.stdout)
        await environment.db.execute("delete from erased_leads")
        await environment.accept("lead-ana", ana)

        again = await invoke("erase", "--again", str(kept))

        assert again.exit_code == 0
        assert "1 of 2 were stored again" in again.stderr
        assert await environment.outcomes() == {"lead-ana": "erased"}
        assert ana.cpf not in kept.read_text()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "No such file"),
            (b"", "holds no erased line"),
            (f"erased 01234567:{'0' * 64}".encode("utf-16"), "holds no erased line"),
            (f"erased 01234567:{'0' * 64}".encode(), "01234567: the key of these lines is neither"),
        ],
    )
    async def test_of_a_file_that_says_nothing_here_is_refused_and_not_called_done(
        self, environment: Brokerage, tmp_path: Path, content: bytes | None, said: str
    ) -> None:
        kept = tmp_path / "erased.txt"
        if content is not None:
            kept.write_bytes(content)

        again = await invoke("erase", "--again", str(kept))

        assert again.exit_code in (1, 2)
        assert said in again.stderr


class TestSuppress:
    async def test_stops_a_contact_and_is_listed_and_lifted(self, environment: Brokerage) -> None:
        ana = environment.people[0]

        assert (
            await invoke("privacy", "suppress", given=f"({ana.phone[:2]}) {ana.phone[2:]}\n")
        ).exit_code == 0
        listed = await invoke("privacy", "list", "--json")
        await environment.accept("lead", ana)
        await environment.work()

        [entry] = json.loads(listed.stdout)
        assert entry["kind"] == "phone"
        assert ana.phone not in listed.stdout
        assert await environment.outcomes() == {"lead": "ignored"}
        assert (await invoke("privacy", "unsuppress", given=ana.phone)).exit_code == 0
        assert (await invoke("privacy", "unsuppress", given=ana.phone)).exit_code == 3

    async def test_asks_where_others_share_the_contact(self, environment: Brokerage) -> None:
        ana, bruno = environment.people[:2]
        environment.world.by_phone[ana.phone] = [ana, bruno]
        await environment.accept("lead", ana)
        await environment.work()

        asked = await invoke("privacy", "suppress", given=ana.phone)

        assert asked.exit_code == 2
        assert "leads to 2 people" in asked.stderr
        assert (await invoke("privacy", "suppress", "--yes", given=ana.phone)).exit_code == 0

    @pytest.mark.parametrize("given", ["", "12345", "nobody", "529.982.247-26", "a@b.com\nc@d.com"])
    async def test_refuses_what_it_cannot_read(self, environment: Brokerage, given: str) -> None:
        refused = await invoke("privacy", "suppress", given=given)

        assert refused.exit_code == 2
        assert await environment.db.value("select count(*) from suppressions") == 0
        assert not given or given not in refused.output


class TestExport:
    async def test_is_json_for_the_person(self, environment: Brokerage) -> None:
        ana = environment.people[0]
        await environment.accept("lead-ana", ana)
        await environment.work()

        held = json.loads((await invoke("privacy", "export", given=ana.cpf)).stdout)

        assert held["person"]["cpf"] == ana.cpf
        assert [lead["lead_id"] for lead in held["leads"]] == ["lead-ana"]


class TestPlaces:
    async def test_are_listed_with_what_an_erasure_does(self) -> None:
        listed = await invoke("privacy", "places")

        assert "webhook_events.payload_raw" in listed.stdout
        assert "emptied" in listed.stdout
