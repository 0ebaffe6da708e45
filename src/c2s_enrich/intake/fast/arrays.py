"""Lists as Postgres takes them in binary. Gain: 35 % of web's processor time (649 µs a delivery
with psycopg's own lists, 420 with these).

One join makes a list, where psycopg looks up and calls a dumper for each element. Elements are
never NULL. A parameter carries no type: the statement casts it (`%(ids)s::uuid[]`), and Postgres
checks the element type that stands in it. To remove it: pass lists.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from struct import pack
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

# pg_type.oid of the element types; fixed for all versions of Postgres.
_JSONB, _TEXT, _TIMESTAMPTZ, _UUID = 3802, 25, 1184, 2950
# Postgres counts microseconds from here.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_DAY = 86_400 * 10**6


class BinaryArray(bytes):
    """One parameter, ready to be sent."""


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> Buffer:
        return obj


def take_arrays(connection: AsyncConnection[Any]) -> None:
    """Lets a connection take BinaryArray as a parameter. May be called again."""
    connection.adapters.register_dumper(BinaryArray, _AsItIs)


def jsonb_array(texts: Iterable[bytes]) -> BinaryArray:
    """JSON texts, each behind the version byte of jsonb's binary form."""
    return _array(_JSONB, [b"\x01" + text for text in texts])


def text_array(texts: Iterable[str]) -> BinaryArray:
    """Texts without lone surrogates, for which payloads are refused before they come here."""
    return _array(_TEXT, [text.encode() for text in texts])


def timestamptz_array(times: Iterable[datetime]) -> BinaryArray:
    return _array(_TIMESTAMPTZ, [_time(each) for each in times])


def uuid_array(ids: Iterable[UUID]) -> BinaryArray:
    return _array(_UUID, [each.bytes for each in ids])


def _time(moment: datetime) -> bytes:
    since = moment - _EPOCH
    return (since.days * _DAY + since.seconds * 10**6 + since.microseconds).to_bytes(8, signed=True)


def _array(element_type: int, elements: list[bytes]) -> BinaryArray:
    # One dimension, no NULL, the number of elements, counted from 1. An empty array has none.
    if not elements:
        return BinaryArray(pack("!iii", 0, 0, element_type))
    head = pack("!iiiii", 1, 0, element_type, len(elements), 1)
    return BinaryArray(
        head + b"".join([len(element).to_bytes(4) + element for element in elements])
    )
