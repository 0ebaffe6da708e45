"""Where a command's data comes from: the database, or a running `c2s-enrich ops` (--url)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from c2s_enrich.cli import ending, frame

T = TypeVar("T")
_SECONDS = 4.0

Url = Annotated[
    str | None,
    typer.Option("--url", help="Ask this `c2s-enrich ops` (with ADMIN_TOKEN), not the database."),
]


def ask(
    url: str | None,
    path: str,
    local: Callable[[frame.Pool], Awaitable[T]],
    kind: Any,
    *,
    query: Mapping[str, Any] = {},
    body: Mapping[str, Any] | None = None,
) -> T:
    """What `local` answers, or the same, as `kind`, from `path` below /api/v1/admin/: by a GET, or
    by a POST of the `body`.
    """
    if url is None:
        return frame.with_pool(local)
    import asyncio
    from urllib.parse import urlencode

    import msgspec

    from c2s_enrich.upstreams.transport import ask_once

    address = f"{url.rstrip('/')}/api/v1/admin/{path}" + (f"?{urlencode(query)}" if query else "")
    if not address.startswith(("http://", "https://")):
        ending.fail("--url is an http:// or https:// address")
    headers = {
        "Authorization": f"Bearer {os.environ.get('ADMIN_TOKEN', '').strip()}",
        "Content-Type": "application/json",
    }
    sent = None if body is None else msgspec.json.encode(body)
    try:
        status, answer = asyncio.run(
            ask_once(address, seconds=_SECONDS, body=sent, headers=headers)
        )
        if status < 300:
            answered: T = msgspec.json.decode(answer, type=kind)
            return answered
    except (OSError, ValueError) as error:
        kept = str(error) or type(error).__name__
        ending.fail(f"{url} cannot be reached: {kept}", ending.NOT_DONE)
    try:
        detail = str(msgspec.json.decode(answer)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        detail = f"HTTP {status}"
    return ending.fail(detail, ending.NOT_FOUND if status == 404 else ending.NOT_DONE)
