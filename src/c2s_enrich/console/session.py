"""Who looks: a token gives a role, a signed cookie keeps it for twelve hours. Nothing is stored, so
a token that is changed ends every session of its role.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_mac
from typing import Any, Literal

from starlette.datastructures import Headers

from c2s_enrich.clock import Clock
from c2s_enrich.options import Secret

Role = Literal["operator", "viewer"]

LIFETIME_SECONDS = 12 * 3600
NAME_LENGTH = 60
# A token has 16 characters at least; the wait is for whoever guesses, not for whoever mistypes.
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 8.0
_FORGET_SECONDS = 900.0
_MOST_WAITING = 8


@dataclass(frozen=True)
class Session:
    """A person's login. `name` goes into the audit."""

    role: Role
    name: str

    @property
    def may_act(self) -> bool:
        return self.role == "operator"


class TooManyLogins(Exception):
    """So many logins wait already that this one is not even looked at."""


class Doorkeeper:
    """Checks tokens, slower after each wrong one; signs and reads cookies."""

    def __init__(self, admin: Secret, viewer: Secret, clock: Clock) -> None:
        tokens: tuple[tuple[Role, Secret], ...] = (("operator", admin), ("viewer", viewer))
        self._tokens = {role: token.reveal().encode() for role, token in tokens if token}
        self._clock = clock
        self._failures = self._waiting = 0
        self._failed_at = float("-inf")

    async def role_of(self, token: str) -> Role | None:
        """None: no role has this token. Raises TooManyLogins."""
        if self._waiting >= _MOST_WAITING:
            raise TooManyLogins
        if self._clock.boottime() - self._failed_at > _FORGET_SECONDS:
            self._failures = 0
        if self._failures:
            self._waiting += 1
            try:
                await self._clock.sleep(min(_FIRST_WAIT * 2**self._failures, _LONGEST_WAIT))
            finally:
                self._waiting -= 1
        given = token.strip().encode()
        found = [role for role, known in self._tokens.items() if compare_digest(given, known)]
        if not found:
            self._failures = min(self._failures + 1, 10)
            self._failed_at = self._clock.boottime()
            return None
        self._failures = 0
        return found[0]

    def sign(self, session: Session) -> str:
        said = json.dumps([session.role, session.name, int(time.time())]).encode()
        return f"{_text(said)}.{_text(self._mac(session.role, said))}"

    def read(self, cookie: str) -> Session | None:
        """None: it is not ours, too old, or its token is no longer the one in use."""
        said, _, mac = cookie.partition(".")
        try:
            role, name, signed_at = json.loads(_bytes(said))
            fine = compare_digest(_bytes(mac), self._mac(role, _bytes(said)))
            age = time.time() - signed_at
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return Session(role, name) if fine and age < LIFETIME_SECONDS else None

    def _mac(self, role: Any, said: bytes) -> bytes:
        key = new_mac(self._tokens[role], b"c2s-enrich console session", sha256).digest()
        return new_mac(key, said, sha256).digest()


def is_same_origin(headers: Headers) -> bool:
    """Whether one of our own pages sent this form. Browsers without Sec-Fetch-Site send Origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and origin.partition("://")[2] == headers.get("host")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
