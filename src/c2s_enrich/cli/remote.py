"""Where a command's data comes from: the database, or a running `c2s-enrich ops` (--url)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from c2s_enrich.cli import frame

T = TypeVar("T")
_SECONDS = 4.0

Url = Annotated[
    str | None,
    typer.Option("--url", help="Ask this `c2s-enrich ops` (with ADMIN_TOKEN), not the database."),
]


def ask(
    url: str | None,
    path: str,
    query: Mapping[str, Any],
    kind: type[T],
    local: Callable[[frame.Pool], Awaitable[T]],
) -> T:
    """What `local` answers, or the same from GET `path` below /api/v1/admin/."""
    if url is None:
        return frame.with_pool(local)
    from urllib.parse import urlencode

    answered: T = _answer(url, f"{path}?{urlencode(query)}", kind, None)
    return answered


def change(
    url: str | None,
    path: str,
    body: Mapping[str, Any],
    local: Callable[[frame.Pool], Awaitable[bool]],
) -> bool:
    """Does it here, or by a POST; whether there was something to change."""
    if url is None:
        return frame.with_pool(local)
    return bool(_answer(url, path, Any, body))


def _answer(url: str, path: str, kind: Any, body: Mapping[str, Any] | None) -> Any:
    import asyncio

    import msgspec

    from c2s_enrich.upstreams.transport import ask_once

    address = f"{url.rstrip('/')}/api/v1/admin/{path}"
    if not address.startswith(("http://", "https://")):
        frame.fail("--url is an http:// or https:// address")
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
            return msgspec.json.decode(answer, type=kind)
    except (OSError, ValueError) as error:
        kept = str(error) or type(error).__name__
        frame.fail(f"{url} cannot be reached: {kept}", frame.NOT_DONE)
    try:
        detail = str(msgspec.json.decode(answer)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        detail = f"HTTP {status}"
    return frame.fail(detail, frame.NOT_FOUND if status == 404 else frame.NOT_DONE)
