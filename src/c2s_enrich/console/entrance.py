"""The way in and out. A token gives a role, a signed cookie keeps it for twelve hours. Nothing is
stored, so a token that is changed ends every session of its role.
"""

import time
from datetime import tzinfo
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_mac
from typing import cast
from urllib.parse import quote, unquote

import psycopg
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from c2s_enrich.clock import Clock
from c2s_enrich.console.page import Role, Session, address, path_of, read_form
from c2s_enrich.console.show import render, words_of
from c2s_enrich.console.words import LANGUAGES
from c2s_enrich.database import Pool
from c2s_enrich.ops.causes import Language
from c2s_enrich.ops.plans import Planner
from c2s_enrich.ops.surface import N_, Refusal
from c2s_enrich.options import Secret
from c2s_enrich.redaction import redact
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

YEAR_SECONDS = 365 * 86400
LANGUAGE = "c2s_language"
_LIFETIME_SECONDS = 12 * 3600
_NAME_LENGTH = 60
# A token has 16 characters at least; the wait is for whoever guesses, not for whoever mistypes.
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 8.0
_FORGET_SECONDS = 900.0
_MOST_WAITING = 8
_NAME, _SESSION = "c2s_name", "c2s_session"

_log = get_logger("c2s_enrich.console")


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
        return (
            Session(cast(Role, role), unquote(name)) if fine and age < _LIFETIME_SECONDS else None
        )

    def _mac(self, role: str, said: str) -> str:
        key = new_mac(self._tokens[cast(Role, role)], b"c2s-enrich console session", sha256)
        return new_mac(key.digest(), said.encode(), sha256).hexdigest()


class Entrance:
    """Sessions of requests, and the addresses that need none."""

    def __init__(self, pool: Pool, zone: tzinfo, clock: Clock, settings: Settings) -> None:
        self._pool = pool
        self._zone = zone
        self._doorkeeper = Doorkeeper(settings.admin_token, settings.viewer_token, clock)

    def routes(self) -> list[Route]:
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]

    def session(self, request: Request) -> Session | None:
        """None: nobody is logged in."""
        return self._doorkeeper.read(request.cookies.get(_SESSION, ""))

    def send(self, request: Request) -> Response:
        """To the login, and from there on to where the request wanted to go."""
        here = path_of(request) + (f"?{request.url.query}" if request.url.query else "")
        target = here if request.method == "GET" and here != "/" else ""
        return redirect(address("/login", next=target))

    def language(self, request: Request) -> Language:
        """What was chosen by hand, else the first language of the browser that we speak."""
        accepted = request.headers.get("accept-language", "").split(",")
        wanted = [
            part.strip()[:2].lower() for part in (request.cookies.get(LANGUAGE, ""), *accepted)
        ]
        return next((each for near in wanted for each in LANGUAGES if each == near), "en")

    async def _show(self, request: Request) -> Response:
        return self._page(request, request.query_params.get("next", "/"))

    async def _login(self, request: Request) -> Response:
        target = "/"
        try:
            form = await read_form(request)
            target, name, token = (
                form.get(field, [""])[0].strip() for field in ("next", "name", "token")
            )
            name = redact(name)[:_NAME_LENGTH].strip()
            session = await self._checked(request, name, token)
        except Refusal as error:
            return self._page(request, target, error)
        answer = redirect(target)
        keep(request, answer, _NAME, quote(name), YEAR_SECONDS)
        signed = self._doorkeeper.sign(session)
        return keep(request, answer, _SESSION, signed, _LIFETIME_SECONDS)

    async def _checked(self, request: Request, name: str, token: str) -> Session:
        if not is_same_origin(request.headers):
            raise Refusal(403, N_("This form came from another site."))
        role = await self._doorkeeper.role_of(token)
        if role is None:
            _log.warning("login_failed")
            try:
                planner = Planner(self._pool, actor=name or "unknown", via="console")
                await planner.record("login_failed", {})
            except (psycopg.Error, TimeoutError) as error:
                _log.warning("login_not_audited", error=type(error).__name__)
            raise Refusal(403, N_("This token is not known."))
        if role == "operator" and not name:
            raise Refusal(422, N_("Type your name: it stands next to what you do."))
        return Session(role, name or role)

    async def _logout(self, request: Request) -> Response:
        answer = redirect("/login")
        if is_same_origin(request.headers):
            answer.delete_cookie(_SESSION)
        return answer

    def _page(self, request: Request, target: str, error: Refusal | None = None) -> Response:
        context = {
            "target": _local(target),
            "sentence": error.sentence if error else "",
            "name": unquote(request.cookies.get(_NAME, "")),
        }
        words = words_of(self.language(request), self._zone)
        return render(words, "login.html", context, error.status if error else 200)


def keep(request: Request, answer: Response, name: str, value: str, seconds: int) -> Response:
    """Sets a cookie. A proxy that ends TLS can only make it stricter."""
    https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    answer.set_cookie(name, value, max_age=seconds, httponly=True, secure=https, samesite="strict")
    return answer


def redirect(target: str) -> Response:
    """To an address of ours, whatever was asked for: never to another host."""
    return RedirectResponse(_local(target), 303)


def _local(target: str) -> str:
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if fine else "/"


def is_same_origin(headers: Headers) -> bool:
    """Whether one of our own pages sent this form. Browsers without Sec-Fetch-Site send Origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and origin.partition("://")[2] == headers.get("host")
