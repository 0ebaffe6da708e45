"""Every place where personal data can be. A test holds it against the schema."""

from typing import Literal, NamedTuple

# deleted: the row goes · emptied: the row stays without it · stays: what it is needed for is said.
Erasure = Literal["deleted", "emptied", "stays"]


class Place(NamedTuple):
    """A column that can hold personal data, and what an erasure does with it."""

    table: str
    column: str
    erasure: Erasure
    holds: str


_ROWS: tuple[tuple[str, Erasure, str, str], ...] = (
    ("webhook_events", "stays", "id of the lead: its key knows the delivery", "lead_id"),
    ("webhook_events", "emptied", "what C2S sent", "payload_raw hook_action"),
    ("webhook_events", "emptied", "notes of the attempt", "outcome_detail error_message"),
    ("webhook_events", "emptied", "keyed hash of the contacts", "fingerprint"),
    ("event_attempts", "emptied", "text of an error", "error_message"),
    ("leads", "deleted", "the lead as last known",
     "lead_id name phone email seller_id seller_name"),
    ("lead_people", "deleted", "who was found for a lead", "lead_id cpf"),
    ("lead_messages", "stays", "id and hash: nothing is sent twice", "lead_id content_key ref"),
    ("lead_messages", "emptied", "what the seller was told", "body contacts"),
    ("lead_messages", "stays", "C2S's id of the message", "c2s_message_id"),
    ("contact_lookups", "deleted", "whom a contact leads to", "contact candidates"),
    ("answers_under_way", "deleted", "a question with its contact or CPF", "what"),
    ("people", "deleted", "the record",
     "cpf profile full_name birth_date sex mother marital_status education occupation deceased"
     " irregular income income_from income_to purchasing_power credit_score credit_risk"),
    ("person_phones", "deleted", "the record", "cpf phone kind operator active whatsapp"),
    ("person_emails", "deleted", "the record", "cpf email priority quality personal blacklisted"),
    ("person_addresses", "deleted", "the record",
     "cpf address_key street_type street number complement district city state postcode"),
    ("person_companies", "deleted", "the record", "cpf cnpj name relation since active"),
    ("rejected_deliveries", "deleted", "what could not be read",
     "raw detail lead_id headers digest"),
    ("erased_leads", "stays", "id of an erased lead: it stays erased", "lead_id"),
    ("suppressions", "stays", "keyed hash: who must not be processed", "hash"),
    ("operator_actions", "emptied", "what an operator wrote", "filter reason"),
)  # fmt: skip
PLACES = tuple(
    Place(table, column, erasure, holds)
    for table, erasure, holds, columns in _ROWS
    for column in columns.split()
)
