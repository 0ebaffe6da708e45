"""All simulated services in one app, with the pages and routes of the people who turn its dial.

/c2s  /diretrix  /work_api  /gateway   the services; these are the base URLs for the settings
GET  /                                 the messages that each lead received
GET  /_sim/messages                    the same as JSON
GET  /_sim/calls[?upstream=&kind=]     counts, the most at once, and each call with its times
GET  /_sim/faults                      the dial
PUT  /_sim/faults/{upstream}           sets it: one fault, a list of them, or null
PUT  /_sim/leads/{lead_id}             makes C2S know a lead: {"name", "phone", "email", "closed"}
POST /_sim/reset                       clears the dial and the calls; all else stays
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import cache

from jinja2 import Environment, Template
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from c2s_enrich.sandbox.simulators import c2s, diretrix, gateway, work_api
from c2s_enrich.sandbox.simulators.c2s import Hook
from c2s_enrich.sandbox.simulators.crm import Lead
from c2s_enrich.sandbox.simulators.faults import UPSTREAMS, Fault
from c2s_enrich.sandbox.simulators.wire import Simulators
from c2s_enrich.sandbox.simulators.world import World


def build_simulators(world: World, hook: Hook | None = None) -> Simulators:
    """The app. Without a hook, C2S delivers nothing until someone subscribes."""
    hook = hook or Hook()

    @asynccontextmanager
    async def lifespan(_: Simulators) -> AsyncIterator[None]:
        yield
        await hook.close()

    c2s_routes = c2s.routes(world, hook)
    return Simulators(
        routes=[
            *c2s_routes,
            *diretrix.routes(world),
            *work_api.routes(world),
            *gateway.routes(world, Simulators(routes=c2s_routes)),
            *_own_routes(world, hook),
        ],
        lifespan=lifespan,
    )


@cache
def _page() -> Template:
    return Environment(autoescape=True).from_string(_PAGE)


def _own_routes(world: World, hook: Hook) -> list[Route]:
    async def show_page(_: Request) -> Response:
        return HTMLResponse(
            _page().render(
                leads=_leads_with_messages(world), counts=_counts(world), dial=world.dial.to_json()
            )
        )

    async def show_messages(_: Request) -> Response:
        leads = {
            lead.id: [asdict(message) for message in lead.messages]
            for lead in _leads_with_messages(world)
        }
        texts = Counter(
            (lead.id, message.body) for lead in world.leads.values() for message in lead.messages
        )
        duplicated = sum(count - 1 for count in texts.values())
        return JSONResponse({"leads": leads, "sent": texts.total(), "duplicated": duplicated})

    async def show_calls(request: Request) -> Response:
        upstream, kind = request.query_params.get("upstream"), request.query_params.get("kind")
        calls = [
            asdict(call)
            for call in world.calls
            if upstream in (None, call.upstream) and kind in (None, call.kind)
        ]
        most = {name: world.most_at_once(name) for name in UPSTREAMS}
        hooks = {"delivered": hook.delivered, "lost": hook.lost}
        return JSONResponse(
            {"counts": _counts(world), "most_at_once": most, "hooks": hooks, "calls": calls}
        )

    async def show_faults(_: Request) -> Response:
        return JSONResponse(world.dial.to_json())

    async def set_faults(request: Request) -> Response:
        upstream = request.path_params["upstream"]
        try:
            sent = await request.json()
            faults = [
                Fault.from_json(part)
                for part in (sent if isinstance(sent, list) else [sent] if sent is not None else [])
            ]
        except (ValueError, TypeError) as problem:
            return JSONResponse({"error": str(problem)}, 400)
        if upstream not in UPSTREAMS:
            return JSONResponse({"error": f"an upstream is one of {', '.join(UPSTREAMS)}"}, 404)
        world.dial.set(upstream, *faults)
        return JSONResponse(world.dial.to_json())

    async def put_lead(request: Request) -> Response:
        try:
            sent = await request.json()
            lead = world.add_lead(request.path_params["lead_id"], **sent)
        except (ValueError, TypeError) as problem:
            return JSONResponse({"error": str(problem)}, 400)
        return JSONResponse({"data": lead.to_json()})

    async def reset(_: Request) -> Response:
        world.dial.clear()
        world.calls.clear()
        world.counts.clear()
        return Response(status_code=204)

    return [
        Route("/", show_page),
        Route("/_sim/messages", show_messages),
        Route("/_sim/calls", show_calls),
        Route("/_sim/faults", show_faults),
        Route("/_sim/faults/{upstream}", set_faults, methods=["PUT"]),
        Route("/_sim/leads/{lead_id}", put_lead, methods=["PUT"]),
        Route("/_sim/reset", reset, methods=["POST"]),
    ]


def _leads_with_messages(world: World) -> list[Lead]:
    return sorted(
        (lead for lead in world.leads.values() if lead.messages),
        key=lambda lead: lead.updated_at,
        reverse=True,
    )


def _counts(world: World) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {name: {} for name in UPSTREAMS}
    for (upstream, kind), count in sorted(world.counts.items()):
        counts[upstream][kind] = count
    return counts


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Simulated CRM</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2733; background: #f6f7f9 }
article { background: #fff; border: 1px solid #d9dee4; border-radius: 8px; padding: 1rem 1.25rem;
  margin: 1rem 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; padding-left: .8rem;
  border-left: 3px solid #2f7d6b; margin: .6rem 0 }
table { border-collapse: collapse } h2 { font-size: 1rem; margin: 0 }
td, th { text-align: left; padding: .1rem 1rem .1rem 0 }
small { color: #5a6876 } .twice { color: #a4262c; font-weight: 600 }
</style></head><body>
<h1>What the sellers received</h1>
<p>A simulated CRM with invented people. <a href="/_sim/messages">Messages</a>,
<a href="/_sim/calls">calls</a> and <a href="/_sim/faults">faults</a> as JSON.</p>
<table><tr><th>service</th><th>calls</th><th>faults</th></tr>
{% for name, kinds in counts.items() %}<tr><td>{{ name }}</td>
<td>{% for kind, count in kinds.items() %}{{ kind }} {{ count }}{{ ", " if not loop.last }}
{%- else %}none{% endfor %}</td>
<td>{{ dial[name] | map(attribute="kind") | join(", ") or "none" }}</td></tr>{% endfor %}</table>
{% for lead in leads %}<article>
<h2>{{ (lead.customer or {}).name or "without a name" }} <small>{{ lead.id }}</small></h2>
<p>{{ lead.messages | length }} message{{ "s" if lead.messages | length != 1 }}
{% if lead.messages | map(attribute="body") | unique | list | length < lead.messages | length %}
<span class="twice">the same text more than once</span>{% endif %}</p>
{% for message in lead.messages %}<pre>{{ message.body }}</pre>
<small>{{ message.created_at }}</small>{% endfor %}</article>
{% else %}<p>No messages yet.</p>{% endfor %}
</body></html>"""
