"""The Work API: a person's record by CPF, and who owns a phone. Paid by the call."""

from __future__ import annotations

from c2s_enrich.clock import Clock
from c2s_enrich.errors import Unauthorised, Unproven, UpstreamError
from c2s_enrich.options import Secret
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.upstreams.candidates import candidates_from_phone_module
from c2s_enrich.upstreams.http import AnyTransport, CallMetrics, Limiter, Policy, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response
from c2s_enrich.upstreams.work_record import (
    AccountProblem,
    NoRecord,
    UnreadableRecord,
    read_record,
)


class WorkApi:
    """Records and candidates. HTTP 200 proves nothing: each answer is judged by its content."""

    def __init__(self, upstream: Upstream, token: Secret) -> None:
        self._upstream = upstream
        self._token = token

    async def profile(self, cpf: Cpf, admission: Admission | None = None) -> Profile | None:
        """The record of exactly this CPF; None where there is none. Raises UpstreamError."""

        def read(response: Response) -> Profile | None:
            if _not_found(response):
                return None
            record = read_record(_json(response), cpf)
            if isinstance(record, AccountProblem | UnreadableRecord):
                raise _error(response, record)
            return None if isinstance(record, NoRecord) else record

        return await self._upstream.call(
            "record",
            "GET",
            "",
            read=read,
            params=self._query("cpf", cpf.digits),
            admission=admission,
        )

    async def by_phone(
        self, phone: Phone, admission: Admission | None = None
    ) -> tuple[Candidate, ...]:
        """Who has a Brazilian number. Raises UpstreamError; ValueError for a foreign one."""
        if phone.national is None:
            raise ValueError("the Work API knows Brazilian numbers only")
        return await self._upstream.call(
            "phone",
            "GET",
            "",
            read=_candidates,
            params=self._query("phone", phone.national),
            admission=admission,
        )

    def _query(self, module: str, value: str) -> dict[str, str]:
        return {"token": self._token.reveal(), "modulo": module, "consulta": value}


def open_work_api(
    settings: Settings,
    limits: Limiter,
    clock: Clock,
    metrics: CallMetrics,
    *,
    transport: AnyTransport | None = None,
) -> Upstream:
    """The way to the Work API. Two tries and not three: a lost answer may have been paid for."""
    policy = Policy(timeout=settings.work_api_timeout, tries=2, paid=True)
    return Upstream(
        "work_api", settings.work_api_base_url, policy, limits, clock, metrics, transport=transport
    )


def _candidates(response: Response) -> tuple[Candidate, ...]:
    if response.status in (400, 404) and response.is_html:
        raise Unproven(response.upstream, f"HTTP {response.status} with a web page")
    if _not_found(response):
        return ()
    candidates = candidates_from_phone_module(_json(response))
    if isinstance(candidates, AccountProblem | UnreadableRecord):
        raise _error(response, candidates)
    if candidates.unreadable:
        tell_attempt("unreadable", source=response.upstream, rows=candidates.unreadable)
    return candidates.people


def _not_found(response: Response) -> bool:
    # A web page with 404 is a wrong address, not an unknown person.
    return response.status == 404 and not response.is_html


def _json(response: Response) -> object:
    if response.status in (401, 402, 403):
        raise response.unauthorised()
    if response.is_html:
        raise response.unreadable("a web page instead of JSON")
    if not response.ok:
        raise response.refused()
    return response.json()


def _error(response: Response, problem: AccountProblem | UnreadableRecord) -> UpstreamError:
    if isinstance(problem, AccountProblem):
        return Unauthorised(response.upstream, f"account problem: {problem.detail}")
    return response.unreadable(problem.detail)
