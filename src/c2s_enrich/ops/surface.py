"""What the admin API and the console have in common: bodies, refusals, and when to give up."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import psycopg
from starlette.requests import Request

from c2s_enrich.connection import is_unsendable
from c2s_enrich.database import is_transient
from c2s_enrich.ops.explain import NotUnderstood
from c2s_enrich.ops.filters import FilterError
from c2s_enrich.ops.plans import PlanGone
from c2s_enrich.telemetry.lines import get_logger

T = TypeVar("T")

_LARGEST_BODY = 64 * 1024
_REASONS = {404: "unknown", 413: "too_large", 422: "not_understood"}


def N_(text: str) -> str:
    """Marks a sentence that the console translates when it is shown."""
    return text


class Refusal(Exception):
    """Not done: the status, a sentence that says what to do, a word for programs."""

    def __init__(self, status: int, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.reason = reason or _REASONS.get(status, "refused")


async def read_body(request: Request) -> bytes:
    """Raises Refusal where it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Refusal(413, N_("This is too large: at most 64 KiB."))
    return bytes(body)


async def answered(work: Awaitable[T], surface: str, path: str, seconds: float | None) -> T:
    """What the work answers. Raises Refusal for what its caller or an operator can mend, and where
    it takes longer than `seconds`.
    """
    log = get_logger(f"c2s_enrich.{surface}")
    try:
        async with asyncio.timeout(seconds):
            return await work
    except (FilterError, NotUnderstood) as error:
        raise Refusal(422, str(error)) from None
    except PlanGone:
        gone = N_("This plan is unknown, too old, or was run before: make a new one.")
        raise Refusal(409, gone, "plan_gone") from None
    except psycopg.errors.InsufficientPrivilege:
        log.warning(f"{surface}_lacks_a_right", path=path)
        no = N_("The database login of this process may not do that; its role is c2s_ops.")
        raise Refusal(503, no, "no_right") from None
    except psycopg.errors.QueryCanceled:
        slow = N_("This takes longer than two seconds: take a shorter time or a narrower filter.")
        raise Refusal(503, slow, "database_away") from None
    except (psycopg.Error, TimeoutError) as error:
        if is_unsendable(error):
            raise Refusal(422, N_("A text holds a NUL character.")) from None
        if not isinstance(error, TimeoutError) and not is_transient(error):
            raise
        log.warning(f"{surface}_waits_for_database", error=type(error).__name__)
        away = N_("The database does not answer in time: try again, or ask for less.")
        raise Refusal(503, away, "database_away") from None
