"""Where loggers come from: the one place that imports structlog."""

from typing import Any

from c2s_enrich.lean import hidden

with hidden("rich"), hidden("greenlet"):
    import structlog as structlog


def get_logger(name: str) -> Any:
    """A logger whose lines go where `configure_logging` says."""
    return structlog.get_logger(name)
