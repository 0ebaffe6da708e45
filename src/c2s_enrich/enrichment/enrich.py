"""The records of the people found, asked for at the same time, each kept with its own CPF."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.together import together
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.upstreams.limits import Admission


class RecordSource(Protocol):
    """Knows people by CPF. None: there is no record."""

    async def profile(self, cpf: Cpf, admission: Admission) -> Profile | None: ...


class Enrich:
    """Record by record; a person without one has None, and stays apart from the others."""

    def __init__(self, memory: Memory, work_api: RecordSource) -> None:
        self._memory = memory
        self._work_api = work_api

    async def __call__(self, claim: Claim, people: Sequence[Cpf]) -> dict[Cpf, Profile | None]:
        async def one(cpf: Cpf) -> tuple[Cpf, Profile | None]:
            return cpf, await self._memory.record(claim, cpf, partial(self._work_api.profile, cpf))

        return dict(await together([one(cpf) for cpf in dict.fromkeys(people)]))
