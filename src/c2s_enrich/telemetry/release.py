"""Which program this is: its version, and the revision of the source where the image knows it."""

from functools import cache
from importlib.metadata import version

from c2s_enrich.settings import Settings


def release(settings: Settings) -> str:
    """Such as "0.1.0" or "0.1.0+3f2c1ab"."""
    return "+".join(filter(None, (_version(), settings.revision)))


@cache
def _version() -> str:
    # Read from a file: 1 ms.
    return version("c2s-enrich")
