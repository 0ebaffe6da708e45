"""The records of the people found, asked for at the same time, each kept with its own CPF."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.together import together
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.upstreams.work_api import WorkApi


@dataclass(frozen=True)
class Enrich:
    """Record by record; a person without one has None, and stays apart from the others."""

    memory: Memory
    work_api: WorkApi

    async def __call__(self, claim: Claim, people: Sequence[Cpf]) -> dict[Cpf, Profile | None]:
        async def one(cpf: Cpf) -> tuple[Cpf, Profile | None]:
            return cpf, await self.memory.record(claim, cpf, partial(self.work_api.profile, cpf))

        return dict(await together([one(cpf) for cpf in dict.fromkeys(people)]))
