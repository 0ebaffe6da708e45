"""Diretrix: who owns a phone or an e-mail. The smallest client: copy it for a new upstream."""

import base64
from dataclasses import dataclass
from urllib.parse import quote

from c2s_enrich.people.contact import Email, Phone
from c2s_enrich.people.cpf import Candidates
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.candidates import candidates_from_diretrix, refuse_web_page
from c2s_enrich.upstreams.http import CallServices, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response


@dataclass(frozen=True)
class Diretrix:
    upstream: Upstream

    async def by_phone(self, phone: Phone, admission: Admission | None = None) -> Candidates:
        """Who is known under a Brazilian number. Raises UpstreamError; ValueError for others."""
        path = f"/Consultas/Pessoa/Telefone/{phone.in_brazil}"
        return await self.upstream.call("phone", "GET", path, read=_read, admission=admission)

    async def by_email(self, email: Email, admission: Admission | None = None) -> Candidates:
        """Who is known under an e-mail address. Raises UpstreamError."""
        path = f"/Consultas/Pessoa/Email/{quote(email.address, safe='')}"
        return await self.upstream.call("email", "GET", path, read=_read, admission=admission)


def open_diretrix(settings: Settings, services: CallServices) -> Upstream:
    pair = f"{settings.diretrix_user.reveal()}:{settings.diretrix_pass.reveal()}".encode()
    credentials = {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
    url, timeout = settings.diretrix_base_url, settings.diretrix_timeout
    return Upstream("diretrix", url, timeout, services, (credentials,), paid=True)


def _read(response: Response) -> Candidates:
    refuse_web_page(response)
    # 400 is how Diretrix says that it does not know a number: what comes here was validated.
    if response.status in (204, 400, 404):
        return ()
    return candidates_from_diretrix(response.checked())
