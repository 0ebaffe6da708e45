"""The rooms that commands work with. Each module is imported when something of it is first used.

So a command's file names all of them on top, and `--help` still loads none.
"""
# ruff: noqa: F401

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # isort: off
    from c2s_enrich import clock, connection, database, enrichment, errors, hashing, migrations
    from c2s_enrich import ops, people, privacy, redaction, settings, telemetry, upstreams, wiring
    from c2s_enrich.enrichment import history
    from c2s_enrich.ops import cells, doctor, events, explain, filters, plans, problems, reconcile
    from c2s_enrich.ops import rejects, runbook, store
    from c2s_enrich.people import contact, cpf
    from c2s_enrich.privacy import erase, places, suppress
    from c2s_enrich.telemetry import lines, logs, release
    from c2s_enrich.upstreams import c2s, limits, transport
    from c2s_enrich.wiring import operators
else:

    class _Lazy:
        """A module, or a package whose modules are its attributes."""

        def __init__(self, path: str) -> None:
            self._path = path

        def __getattr__(self, name: str) -> object:
            try:
                return getattr(import_module(self._path), name)
            except AttributeError:
                return import_module(f"{self._path}.{name}")

    def __getattr__(name: str) -> _Lazy:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Lazy(f"c2s_enrich.{name}")
