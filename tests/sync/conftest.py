"""How many random histories of the planner: few in every run, many in the nightly one."""

from __future__ import annotations

from hypothesis import settings
from tests.conftest import NIGHTLY

settings.register_profile("sync", settings.get_profile("house"), max_examples=400 if NIGHTLY else 15)
settings.load_profile("sync")
