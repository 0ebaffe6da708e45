"""Runs paid questions at the same time and lets each end: its answer has been paid for."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def together(questions: Sequence[Awaitable[T]]) -> list[T]:
    """All answers in order; the first error is raised after the other questions have ended."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
