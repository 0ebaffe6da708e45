"""Runs of plans that outlast the request that began them."""

import asyncio
from uuid import UUID

from c2s_enrich.ops.plans import Planner, PlanState
from c2s_enrich.redaction import redact_error
from c2s_enrich.telemetry.lines import get_logger

# A run that is short is answered with its end; a longer one goes on, and its plan tells how far.
_WAIT_SECONDS = 5.0

_log = get_logger("c2s_enrich.plans")


class Runs:
    def __init__(self, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._tasks: set[asyncio.Task[PlanState]] = set()

    async def run(self, planner: Planner, plan_id: UUID) -> PlanState | None:
        """How the run ended; None where it goes on. Raises PlanGone."""
        task = asyncio.create_task(planner.run(plan_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=self._wait_seconds)
        if task.done():
            return task.result()
        task.add_done_callback(_tell_failure)
        return None

    async def close(self) -> None:
        """Cancels them; their plans say `stopped`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _tell_failure(task: asyncio.Task[PlanState]) -> None:
    """Nobody waits for this run any more: how it failed stands in the log."""
    if not task.cancelled() and (error := task.exception()):
        _log.error("plan_failed", error=redact_error(error))
