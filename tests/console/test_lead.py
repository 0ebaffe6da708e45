"""The page of a lead and bulk actions, without a browser: what they say, show, hide and do."""

from __future__ import annotations

import json
import re
from uuid import UUID

import httpx
from tests.cast import ANA
from tests.conftest import Database
from tests.console.conftest import failed

CPF = "529.982.247-25"
