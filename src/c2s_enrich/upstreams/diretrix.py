"""Diretrix: who owns a phone or an e-mail. The smallest client: copy it for a new upstream."""

from __future__ import annotations

import base64
from urllib.parse import quote

from c2s_enrich.clock import Clock
from c2s_enrich.errors import Unproven
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Email, Phone
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.upstreams.candidates import candidates_from_diretrix
from c2s_enrich.upstreams.http import AnyTransport, CallMetrics, Limiter, Policy, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response
from c2s_enrich.upstreams.work_record import UnreadableRecord


class Diretrix:
    """Candidates for one contact; empty means that Diretrix knows nobody, never that it failed."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def by_phone(
        self, phone: Phone, admission: Admission | None = None
    ) -> tuple[Candidate, ...]:
        """Who is known under a Brazilian number. Raises UpstreamError; ValueError for a number
        without a national form.
        """
        if phone.national is None:
            raise ValueError("Diretrix knows Brazilian numbers only")
        return await self._upstream.call(
            "phone",
            "GET",
            f"/Consultas/Pessoa/Telefone/{phone.national}",
            read=_candidates,
            admission=admission,
        )

    async def by_email(
        self, email: Email, admission: Admission | None = None
    ) -> tuple[Candidate, ...]:
        """Who is known under an e-mail address. Raises UpstreamError."""
        return await self._upstream.call(
            "email",
            "GET",
            f"/Consultas/Pessoa/Email/{quote(email.address, safe='')}",
            read=_candidates,
            admission=admission,
        )


def open_diretrix(
    settings: Settings,
    limits: Limiter,
    clock: Clock,
    metrics: CallMetrics,
    *,
    transport: AnyTransport | None = None,
) -> Upstream:
    """The way to Diretrix, with its credentials and time limit."""
    pair = f"{settings.diretrix_user.reveal()}:{settings.diretrix_pass.reveal()}".encode()
    credentials = [{"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}]
    policy = Policy(timeout=settings.diretrix_timeout, paid=True)
    return Upstream(
        "diretrix",
        settings.diretrix_base_url,
        policy,
        limits,
        clock,
        metrics,
        credentials=credentials,
        transport=transport,
    )


def _candidates(response: Response) -> tuple[Candidate, ...]:
    # 400 is how Diretrix says that it does not know a number. It would also say so to a malformed
    # one, but what reaches this client was validated before.
    if response.status in (400, 404) and response.is_html:
        raise Unproven(response.upstream, f"HTTP {response.status} with a web page")
    if response.status in (204, 400, 404):
        return ()
    if response.status in (401, 403):
        raise response.unauthorised()
    if not response.ok:
        raise response.refused()
    candidates = candidates_from_diretrix(response.json())
    if isinstance(candidates, UnreadableRecord):
        raise response.unreadable(candidates.detail)
    if candidates.unreadable:
        tell_attempt("unreadable", source=response.upstream, rows=candidates.unreadable)
    return candidates.people
