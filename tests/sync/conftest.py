"""How many random histories: few in every run, many where GLEICHTAKT_HISTORIES asks for them (the nightly run does)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "sync",
    max_examples=int(os.environ.get("GLEICHTAKT_HISTORIES", "15")),
    deadline=None,  # a busy machine is no defect of the planner
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sync")
