"""What operators do to a brokerage that runs, in one process."""

import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database


@pytest.fixture
async def brokerage(db: Database) -> Brokerage:
    """Upstreams, pollers and the database of one brokerage."""
    return Brokerage(db)
