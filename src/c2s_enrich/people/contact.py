"""Phones and e-mails of a lead: one canonical form each, and a reason for each one that is not looked up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phone:
    """`e164` is "+5511987654321"; `national` is DDD and subscriber ("11987654321"), None for a foreign number."""

    e164: str
    national: str | None


@dataclass(frozen=True)
class Email:
    """`address` is trimmed, lower case and syntactically valid."""

    address: str


@dataclass(frozen=True)
class Skipped:
    """A contact that is not looked up, and why (`reason` is a word such as `fake`, `foreign`, `no_ddd`, `malformed`)."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Contacts:
    """All that could be read from one lead, best first; `skipped` keeps what was left out and why."""

    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()
    skipped: tuple[Skipped, ...] = ()
