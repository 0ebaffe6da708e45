"""The Work API: a person's record by CPF, and who owns a phone. Paid by the call."""

from dataclasses import dataclass

from c2s_enrich.options import Secret
from c2s_enrich.people.contact import Phone
from c2s_enrich.people.cpf import Candidates, Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.candidates import candidates_from_phone_module, refuse_web_page
from c2s_enrich.upstreams.http import CallServices, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response
from c2s_enrich.upstreams.work_record import read_record


@dataclass(frozen=True)
class WorkApi:
    """Records and candidates. HTTP 200 proves nothing here: each answer is judged by its body."""

    upstream: Upstream
    token: Secret

    async def profile(self, cpf: Cpf, admission: Admission | None = None) -> Profile | None:
        """The record of exactly this CPF; None where there is none. Raises UpstreamError."""

        def read(response: Response) -> Profile | None:
            return None if _not_found(response) else read_record(response.checked(), cpf)

        query = self._query("cpf", cpf.digits)
        return await self.upstream.call(
            "record", "GET", "", read=read, params=query, admission=admission
        )

    async def by_phone(self, phone: Phone, admission: Admission | None = None) -> Candidates:
        """Who is known under a Brazilian number. Raises UpstreamError; ValueError for others."""

        def read(response: Response) -> Candidates:
            refuse_web_page(response)
            return () if _not_found(response) else candidates_from_phone_module(response.checked())

        query = self._query("phone", phone.in_brazil)
        return await self.upstream.call(
            "phone", "GET", "", read=read, params=query, admission=admission
        )

    def _query(self, module: str, value: str) -> dict[str, str]:
        """Its token travels in the query string."""
        return {"token": self.token.reveal(), "modulo": module, "consulta": value}


def open_work_api(settings: Settings, services: CallServices) -> Upstream:
    """The way to the Work API. Two tries and not three: a lost answer may have been paid for."""
    url, timeout = settings.work_api_base_url, settings.work_api_timeout
    return Upstream("work_api", url, timeout, services, tries=2, paid=True)


def _not_found(response: Response) -> bool:
    # A web page with 404 is a wrong address, not an unknown person.
    return response.status == 404 and not response.is_html
