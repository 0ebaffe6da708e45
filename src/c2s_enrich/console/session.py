"""Who looks: a token gives a role, a signed cookie keeps it for twelve hours. Nothing is stored, so
a token that is changed ends every session of its role.
"""

import time
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_mac
from typing import Literal, cast
from urllib.parse import quote, unquote

from starlette.datastructures import Headers

from c2s_enrich.clock import Clock
from c2s_enrich.ops.surface import N_, Refusal
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


class Doorkeeper:
    """Checks tokens, slower after each wrong one; signs and reads cookies."""

    def __init__(self, admin: Secret, viewer: Secret, clock: Clock) -> None:
        tokens: tuple[tuple[Role, Secret], ...] = (("operator", admin), ("viewer", viewer))
        self._tokens = {role: token.reveal().encode() for role, token in tokens if token}
        self._clock = clock
        self._failures = self._waiting = 0
        self._failed_at = float("-inf")

    async def role_of(self, token: str) -> Role | None:
        """None: no role has this token. Raises Refusal where too many wait."""
        if self._waiting >= _MOST_WAITING:
            raise Refusal(429, N_("Too many logins at once: wait."))
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
        said = f"{session.role}:{time.time():.0f}:{quote(session.name, safe='')}"
        return f"{said}.{self._mac(session.role, said)}"

    def read(self, cookie: str) -> Session | None:
        """None: it is not ours, too old, or its token is no longer the one in use."""
        said, _, mac = cookie.rpartition(".")
        try:
            role, signed_at, name = said.split(":")
            fine = compare_digest(mac, self._mac(role, said))
            age = time.time() - int(signed_at)
        except (ValueError, TypeError, KeyError):
            return None
        return Session(cast(Role, role), unquote(name)) if fine and age < LIFETIME_SECONDS else None

    def _mac(self, role: str, said: str) -> str:
        key = new_mac(self._tokens[cast(Role, role)], b"c2s-enrich console session", sha256)
        return new_mac(key.digest(), said.encode(), sha256).hexdigest()


def is_same_origin(headers: Headers) -> bool:
    """Whether one of our own pages sent this form. Browsers without Sec-Fetch-Site send Origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and origin.partition("://")[2] == headers.get("host")
