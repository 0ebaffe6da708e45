"""The way in and out: the login page, the cookie that keeps a session, the language of a reader."""

from urllib.parse import quote

import psycopg
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from c2s_enrich.clock import Clock
from c2s_enrich.console.page import Form, PageRefused, address, path_of
from c2s_enrich.console.session import (
    LIFETIME_SECONDS,
    NAME_LENGTH,
    Doorkeeper,
    Session,
    TooManyLogins,
    is_same_origin,
)
from c2s_enrich.console.show import NAME, Shown
from c2s_enrich.console.words import LANGUAGES, N_
from c2s_enrich.database import Pool
from c2s_enrich.ops.causes import Language
from c2s_enrich.ops.plans import Planner
from c2s_enrich.redaction import redact
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

YEAR_SECONDS = 365 * 86400
LANGUAGE = "c2s_language"
_SESSION = "c2s_session"

_log = get_logger("c2s_enrich.console")


class Entrance:
    """Sessions of requests, and the addresses that need none."""

    def __init__(self, pool: Pool, shown: Shown, clock: Clock, settings: Settings) -> None:
        self._pool = pool
        self._shown = shown
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
        return RedirectResponse(address("/login", next=target), 303)

    def language(self, request: Request) -> Language:
        """What was chosen by hand, else the first language of the browser that we speak."""
        accepted = request.headers.get("accept-language", "").split(",")
        wanted = [
            part.strip()[:2].lower() for part in (request.cookies.get(LANGUAGE, ""), *accepted)
        ]
        return next((each for near in wanted for each in LANGUAGES if each == near), "en")

    async def _show(self, request: Request) -> Response:
        return self._page(request, request.query_params.get("next", "/"), "", 200)

    async def _login(self, request: Request) -> Response:
        try:
            form = await Form.read(request)
        except PageRefused as error:
            status, sentence = error.args
            return self._page(request, "/", sentence, status)
        target, name = local(form.one("next", "/")), redact(form.one("name"))[:NAME_LENGTH].strip()
        if not is_same_origin(request.headers):
            return self._page(request, target, N_("This form came from another site."), 403)
        try:
            role = await self._doorkeeper.role_of(form.one("token"))
        except TooManyLogins:
            return self._page(request, target, N_("Too many logins at once: wait."), 429)
        if role is None:
            _log.warning("login_failed")
            try:
                planner = Planner(self._pool, actor=name or "unknown", via="console")
                await planner.record("login_failed", {})
            except (psycopg.Error, TimeoutError) as error:
                _log.warning("login_not_audited", error=type(error).__name__)
            return self._page(request, target, N_("This token is not known."), 403)
        if role == "operator" and not name:
            return self._page(
                request, target, N_("Type your name: it stands next to what you do."), 422
            )
        answer = RedirectResponse(target, 303)
        keep(request, answer, NAME, quote(name), YEAR_SECONDS)
        signed = self._doorkeeper.sign(Session(role, name or role))
        return keep(request, answer, _SESSION, signed, LIFETIME_SECONDS)

    async def _logout(self, request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        if is_same_origin(request.headers):
            answer.delete_cookie(_SESSION)
        return answer

    def _page(self, request: Request, target: str, sentence: str, status: int) -> Response:
        return self._shown.login(request, self.language(request), local(target), sentence, status)


def keep(request: Request, answer: Response, name: str, value: str, seconds: int) -> Response:
    """Sets a cookie. A proxy that ends TLS can only make it stricter."""
    https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    answer.set_cookie(name, value, max_age=seconds, httponly=True, secure=https, samesite="strict")
    return answer


def local(target: str) -> str:
    """An address of ours, whatever was asked for: never another host."""
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if fine else "/"
