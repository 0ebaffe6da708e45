"""A person whom a source suggests for a contact; `enrichment/match.py` judges them."""

from dataclasses import dataclass, field

from c2s_enrich.people.cpf import Cpf


@dataclass(frozen=True)
class Candidate:
    """`name` is the source's spelling, possibly empty."""

    cpf: Cpf
    name: str = field(repr=False)


Candidates = tuple[Candidate, ...]
"""Whom a source suggests, in its order; empty: it knows nobody, never that it failed."""
