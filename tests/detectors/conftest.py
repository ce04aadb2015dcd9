"""How many cases the properties generate: dozens or hundreds, or ten thousand at night.

`HYPOTHESIS_PROFILE=nightly pytest -n 2 tests/detectors/test_{fleets,stream}.py`
tries what everything rests on, in an hour or so; the same of all files takes most of a day.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
settings.register_profile("normal", max_examples=60, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "nightly",
    max_examples=int(os.environ.get("HYPOTHESIS_CASES", "10000")),
    deadline=None,
    suppress_health_check=_SLOW,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))


def pytest_collection_modifyitems(items):
    """Let a property take as long as its cases take, unless they are the normal few."""
    if settings.get_current_profile_name() != "normal":
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
