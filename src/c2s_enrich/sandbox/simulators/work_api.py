"""The Work API, as far as it is known: everything is HTTP 200, the token is in the query string,
the record says far too much.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from c2s_enrich.sandbox.simulators.wire import guarded
from c2s_enrich.sandbox.simulators.world import World

_FORBIDDEN = {
    "status": 403,
    "statusMsg": "Forbidden",
    "reason": "Access denied or limit exhausted.",
}
_NOT_FOUND = {"status": 404, "statusMsg": "Not found", "reason": "Document not found."}
# Which kind of call a module is, in the words of the dial and the call log.
_KINDS = {"cpf": "record", "phone": "phone"}


def routes(world: World) -> list[Route]:
    """The Work API under `/work_api`."""

    def describe(request: Request) -> tuple[str, str]:
        query = request.query_params
        return _KINDS.get(query.get("modulo", ""), "unknown module"), query.get("consulta", "")

    async def consult(request: Request) -> Response:
        query = request.query_params
        wanted = query.get("consulta", "")
        if query.get("token") != world.manners.work_api_token or query.get("modulo") not in _KINDS:
            return JSONResponse(_FORBIDDEN)
        if query["modulo"] == "phone":
            return JSONResponse({"msg": _owners(world, wanted)})
        person = world.by_cpf.get(wanted) if re.fullmatch(r"\d{11}", wanted) else None
        return JSONResponse(
            person.record if person is not None and person.has_record else _NOT_FOUND
        )

    return [
        Route("/work_api", guarded(world, "work_api", consult, describe, JSONResponse(_FORBIDDEN)))
    ]


def _owners(world: World, phone: str) -> list[dict[str, str]]:
    """CPFs padded to 14 digits, and a company among them where anyone is known."""
    people = world.by_phone.get(phone, [])
    company = [{"cpf_cnpj": "11222333000181", "nome": "EMPRESA SIMULADA LTDA"}] if people else []
    return company + [
        {"cpf_cnpj": "000" + person.cpf, "nome": person.name.upper()} for person in people
    ]
