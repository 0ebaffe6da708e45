"""Which program this is: its version, and the revision of the source where the image knows it."""

from importlib.metadata import version

from c2s_enrich.settings import Settings


def release(settings: Settings) -> str:
    """Such as "0.1.0" or "0.1.0+3f2c1ab". Read from a file: 1 ms."""
    return "+".join(filter(None, (version("c2s-enrich"), settings.revision)))
