"""Who may deliver: a pure verdict on the tokens shown. Never raises, logs or keeps them."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import Literal

from c2s_enrich.options import Secret
from c2s_enrich.settings import Settings

TokenVerdict = Literal["current", "previous", "open", "missing", "wrong"]
"""`current` and `previous` name the secret that matched, `open` means that none is configured; the
other two are refusals.
"""

ACCEPTED: frozenset[TokenVerdict] = frozenset(("current", "previous", "open"))

Headers = Sequence[tuple[bytes, bytes]]


class Gate:
    """The configured secrets. Two at once, so that a rotation loses no delivery. None lets
    everybody in: `Settings` allows that on the loopback address only.
    """

    def __init__(self, settings: Settings) -> None:
        named: dict[TokenVerdict, Secret] = {
            "current": settings.webhook_secret,
            "previous": settings.webhook_secret_previous,
        }
        self._secrets = [(name, each.reveal().encode()) for name, each in named.items() if each]

    def judge(self, headers: Headers, path_token: str) -> TokenVerdict:
        """One right token among those shown is enough: a stale header must not shut one out."""
        if not self._secrets:
            return "open"
        shown = list(_shown(headers, path_token))
        verdict: TokenVerdict = "wrong" if shown else "missing"
        for token in shown:
            # Every secret is compared: the time taken says nothing about which one is near.
            for name, secret in self._secrets:
                if hmac.compare_digest(token, secret) and verdict != "current":
                    verdict = name
        return verdict


def _shown(headers: Headers, path_token: str) -> Iterable[bytes]:
    for name, value in headers:
        if name == b"x-webhook-token":
            yield value.strip()
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            yield value[7:].strip()
    shown = path_token.encode(errors="surrogatepass").strip()
    if bare := shown.rstrip(b"/"):
        # A secret in base64 may end with the slash that others add to an address.
        yield from {bare, shown}
