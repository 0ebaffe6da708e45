"""Diretrix, as far as it is known: Basic auth, people by phone and e-mail, and three different ways
to say "nobody".
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.wire import guarded
from c2s_enrich.sandbox.simulators.world import World


def routes(world: World) -> list[Route]:
    """Diretrix under `/diretrix`."""
    return [
        _route(
            world,
            "/diretrix/Consultas/Pessoa/Telefone/{contact:path}",
            "phone",
            lambda phone: world.by_phone.get(phone, ()),
        ),
        _route(
            world,
            "/diretrix/Consultas/Pessoa/Email/{contact:path}",
            "email",
            lambda email: world.by_email.get(email, ()),
        ),
    ]


def _route(world: World, path: str, kind: str, find: Callable[[str], Sequence[Person]]) -> Route:
    def describe(request: Request) -> tuple[str, str]:
        return kind, request.path_params["contact"]

    async def lookup(request: Request) -> Response:
        pair = f"{world.manners.diretrix_user}:{world.manners.diretrix_pass}".encode()
        if request.headers.get("authorization") != "Basic " + base64.b64encode(pair).decode():
            return Response(status_code=401)
        contact = request.path_params["contact"]
        if kind == "phone" and not re.fullmatch(r"[1-9]{2}\d{8,9}", contact):
            return JSONResponse({"mensagem": "Telefone inválido"}, 400)
        people = find(contact)
        if not people:
            return _nobody(contact)
        return JSONResponse(
            [{"nome": person.name.upper(), "cpf": _as_number_would_be(person)} for person in people]
        )

    return Route(path, guarded(world, "diretrix", lookup, describe, Response(status_code=401)))


def _nobody(contact: str) -> Response:
    """The same contact always gets the same of the three answers that were seen."""
    answers = (
        JSONResponse([]),
        JSONResponse({"mensagem": "não encontrado"}, 404),
        JSONResponse({"mensagem": "inválido"}, 400),
    )
    return answers[zlib.crc32(contact.encode()) % 3]


def _as_number_would_be(person: Person) -> str:
    """Every third person's CPF has lost its leading zeros, as columns of numbers do. Never more
    than three are lost.
    """
    short = person.cpf.lstrip("0")
    return short if person.serial % 3 == 0 and len(short) >= 8 else person.cpf
