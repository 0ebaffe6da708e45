"""The search box: a lead, an event, a message's ref or a C2S address leads to the lead's page."""

from c2s_enrich.console.page import Onward, Page, Visit, lead_address
from c2s_enrich.ops.explain import Explainer, read_what


async def search(visit: Visit) -> Page | Onward:
    """Any of them; a lead that never arrived has a page too, which says so."""
    return await _found(visit, visit.query.get("q", "").strip())


async def event(visit: Visit) -> Page | Onward:
    """An event's own address: its place on the page of its lead."""
    return await _found(visit, str(visit.request.path_params["event_id"]))


async def _found(visit: Visit, what: str) -> Onward:
    asked = read_what(what)["event"]
    situation = await Explainer(visit.tools.reads).situation(what)
    place = f"#{asked}" if asked else ""
    return Onward(lead_address(situation.lead_id or what) + place, "")
