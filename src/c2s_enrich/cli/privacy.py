"""What the data-protection law asks for: `erase`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from c2s_enrich.cli.frame import fail, when, with_pool


def erase(
    lead: Annotated[str | None, typer.Option(help="C2S's id of the lead")] = None,
    cpf_stdin: Annotated[
        bool,
        typer.Option("--cpf-stdin", help="Read the person's CPF from standard input."),
    ] = False,
) -> None:
    """Remove a lead, or a person with all their leads, from every table (LGPD). Cannot be undone;
    prints a receipt that names nobody.
    """
    from c2s_enrich.people.cpf import Cpf
    from c2s_enrich.privacy.erase import erase as erase_from

    if (lead is None) != cpf_stdin:
        fail("say who: --lead ID, or --cpf-stdin with the CPF on standard input")
    cpf = Cpf.parse(sys.stdin.readline().strip()) if cpf_stdin else None
    if cpf_stdin and cpf is None:
        fail("standard input did not contain a valid CPF")
    receipt = with_pool(lambda pool, _: erase_from(pool, lead_id=lead, cpf=cpf))
    by = f"asked for by {receipt.asked_by}"
    typer.echo(f"receipt {receipt.id}  erased at {when(receipt.erased_at)}  {by}")
    for table, count in receipt.counts.items():
        typer.echo(f"  {table}  {count}")
