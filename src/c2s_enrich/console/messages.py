"""Messages without a proof of delivery, and a person's verdict on them."""

from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Visit, lead_address
from c2s_enrich.console.table import Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import EventsDesk


async def messages(visit: Visit) -> Page:
    visit.only()
    rows = await EventsDesk(visit.tools.reads).open_messages(visit.rows)
    columns = (
        named("lead_id", N_("Lead"), link=lambda row: lead_address(row["lead_id"])),
        named("ref", N_("Ref")),
        named("status", N_("Status"), codes="message"),
        named("created_at", N_("Written")),
        named("sending_at", N_("Sending since")),
        named("sends", N_("Sent")),
        named("looks", N_("Not found")),
        named("event_status", N_("Its event"), codes="status"),
        named("event_error_kind", N_("Error"), codes="cause"),
    )
    empty = N_("No message is open: every one that was written is proven to be delivered.")
    table = Table(columns, rows, empty, id=lambda row: str(row["id"]))
    return Page("messages.html", N_("Messages"), table=table)


async def judge(visit: Visit, form: Form) -> Onward:
    """`delivered` or `not-delivered`, by the last word of the address."""
    message_id = visit.request.path_params["message_id"]
    verdict, said = "delivered", N_("Recorded as delivered.")
    if visit.request.url.path.endswith("/not-delivered"):
        verdict, said = "not_delivered", N_("The message will be sent again.")
    desk = EventsDesk(visit.tools.pool)
    if not await desk.judge(message_id, delivered=verdict == "delivered"):
        raise PageRefused(409, N_("This message is settled already, or unknown."))
    await visit.audit(verdict, {"message": str(message_id)})
    lead_id = form.one("lead")
    return Onward(lead_address(lead_id) if lead_id else "/messages", visit.say(said))
