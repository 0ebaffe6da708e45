"""The webhook subscription at C2S: one address for each token."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from typer import Argument

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import fail, load_settings, note
from c2s_enrich.cli.lazy import database, ops, settings, upstreams, wiring
from c2s_enrich.cli.printing import Column, print_table

ACTIONS = ("on_create_lead", "on_update_lead", "on_close_lead")
_PATH = "/api/v1/webhooks/c2s"
_HOST = re.compile(r"(https://[\w.-]+|http://127\.0\.0\.1)(:\d+)?(/[\w./-]*)?", re.ASCII)


def subscribe(
    address: Annotated[
        str, Argument(help="where web is reached, or the whole address with its token")
    ],
    yes: frame.Yes = False,
) -> None:
    """Make C2S deliver its webhooks to this web process. Ends every other subscription!

    C2S allows one webhook address per token; a second one silently replaces the first.

    \b
    c2s-enrich subscribe https://enrich.example.com
    """
    host, _, token = address.rstrip("/").partition(_PATH)
    if not _HOST.fullmatch(host):
        fail("the address is https:// and a host: the webhook token becomes part of it")
    given = load_settings("poller")
    token = token.strip("/") or quote(given.webhook_secret.reveal(), safe="")
    if not token:
        fail("WEBHOOK_SECRET is not set: C2S sends no headers, so it is part of the address")
    path = f"{host}{_PATH}/"
    note(f"C2S will deliver to {path}*** and to nowhere else.")
    note("C2S allows ONE address: any other subscription of this token ends silently.")
    frame.confirm("subscribe", yes)
    address = path + token
    _ask_for_each("subscribe", given, lambda c2s, to: c2s.subscribe(to, address), f"{path}***")
    note("Subscribed. The next webhook proves it: c2s-enrich events list")


def unsubscribe(yes: frame.Yes = False) -> None:
    """Make C2S deliver no webhooks any more."""
    given = load_settings("poller")
    note("C2S will deliver nothing: leads reach us by `c2s-enrich reconcile` only.")
    frame.confirm("unsubscribe", yes)
    _ask_for_each("unsubscribe", given, lambda c2s, action: c2s.unsubscribe(action), "")
    note("Unsubscribed.")


def subscriptions(as_json: frame.AsJson = False) -> None:
    """What C2S was last asked to deliver, as far as this database knows.

    C2S cannot be asked for the address in force: whoever has the token may have replaced it.
    """
    rows = frame.with_pool(lambda pool: ops.store.OpsStore(pool).subscriptions())
    columns: dict[str, Column] = {
        "action": "action", "asked": "asked_at", "address": lambda row: row["address"] or "none",
    }  # fmt: skip
    empty = "Nothing was subscribed from here yet: c2s-enrich subscribe https://…"
    print_table(rows, columns, as_json=as_json, empty=empty)
    note("The proof is a webhook: `c2s-enrich doctor` says since when none has come.")


def _ask_for_each(
    verb: str,
    given: settings.Settings,
    ask: Callable[[upstreams.c2s.C2s, str], Awaitable[object]],
    remembered: str,
) -> None:
    async def asked(services: wiring.Upstreams, pool: database.Pool) -> None:
        async def each(_: database.Pool) -> bool:
            for action in ACTIONS:
                await ask(services.c2s, action)
                await ops.store.OpsStore(pool).subscribed(action, remembered)
            return True

        await frame.audited(verb, {"address": remembered}, each)(pool)

    frame.with_upstreams(given, asked)
