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


def _place(table: str, erasure: Erasure, holds: str, columns: str) -> list[Place]:
    return [Place(table, column, erasure, holds) for column in columns.split()]


PLACES: tuple[Place, ...] = (
    *_place("webhook_events", "stays", "id of the lead: its key knows the delivery", "lead_id"),
    *_place("webhook_events", "emptied", "what C2S sent", "payload_raw hook_action"),
    *_place("webhook_events", "emptied", "notes of the attempt", "outcome_detail error_message"),
    *_place("webhook_events", "emptied", "keyed hash of the contacts", "fingerprint"),
    *_place("event_attempts", "emptied", "text of an error", "error_message"),
    *_place("leads", "deleted", "the lead as last known",
            "lead_id name phone email seller_id seller_name"),
    *_place("lead_people", "deleted", "who was found for a lead", "lead_id cpf"),
    *_place("lead_messages", "stays", "id and hash: nothing is sent twice",
            "lead_id content_key ref"),
    *_place("lead_messages", "emptied", "what the seller was told", "body contacts"),
    *_place("lead_messages", "stays", "C2S's id of the message", "c2s_message_id"),
    *_place("contact_lookups", "deleted", "whom a contact leads to", "contact candidates"),
    *_place("answers_under_way", "deleted", "a question with its contact or CPF", "what"),
    *_place("people", "deleted", "the record", "cpf profile full_name birth_date sex mother"),
    *_place("people", "deleted", "the record",
            "marital_status education occupation deceased irregular"),
    *_place("people", "deleted", "the record", "income income_from income_to purchasing_power"),
    *_place("people", "deleted", "the record", "credit_score credit_risk"),
    *_place("person_phones", "deleted", "the record", "cpf phone kind operator active whatsapp"),
    *_place("person_emails", "deleted", "the record",
            "cpf email priority quality personal blacklisted"),
    *_place("person_addresses", "deleted", "the record",
            "cpf address_key street_type street number"),
    *_place("person_addresses", "deleted", "the record", "complement district city state postcode"),
    *_place("person_companies", "deleted", "the record", "cpf cnpj name relation since active"),
    *_place("rejected_deliveries", "deleted", "what could not be read",
            "raw detail lead_id headers digest"),
    *_place("erased_leads", "stays", "id of an erased lead: it stays erased", "lead_id"),
    *_place("suppressions", "stays", "keyed hash: who must not be processed", "hash"),
    *_place("operator_actions", "emptied", "what an operator wrote", "filter reason"),
)  # fmt: skip
