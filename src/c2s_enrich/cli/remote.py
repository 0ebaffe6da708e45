"""Where a command's data comes from: the database, or the admin API of a running `c2s-enrich ops`
(--url), with the same JSON from both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c2s_enrich.cli.frame import NOT_DONE, NOT_FOUND, fail, with_pool

if TYPE_CHECKING:
    from c2s_enrich.database import Pool
    from c2s_enrich.settings import Settings

_SECONDS = 4.0

Url = Annotated[
    str | None,
    typer.Option("--url", help="Ask this `c2s-enrich ops` (with ADMIN_TOKEN), not the database."),
]


def ask(
    url: str | None,
    path: str,
    query: Mapping[str, Any],
    local: Callable[[Pool, Settings], Awaitable[Any]],
    *,
    method: str = "GET",
) -> Any:
    """The answer as plain JSON values. `path` is below /api/v1/admin/; `query` is sent as the
    address's query, or as a POST's body.
    """
    if url is None:
        import msgspec

        return msgspec.to_builtins(with_pool(local))
    import urllib.error
    import urllib.parse
    import urllib.request

    address = f"{url.rstrip('/')}/api/v1/admin/{path}"
    if not address.startswith(("http://", "https://")):
        fail("--url is an http:// or https:// address")
    body = None
    if method == "POST":
        body = json.dumps(query).encode()
    elif query:
        address += "?" + urllib.parse.urlencode(query)
    headers = {
        "Authorization": f"Bearer {os.environ.get('ADMIN_TOKEN', '').strip()}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310 checked
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 checked
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            detail = str(json.load(error)["detail"])
        except (ValueError, KeyError, TypeError):
            detail = f"HTTP {error.code}"
        fail(detail, NOT_FOUND if error.code == 404 else NOT_DONE)
    except (OSError, ValueError) as error:
        fail(f"{url} cannot be reached: {type(error).__name__}", NOT_DONE)
