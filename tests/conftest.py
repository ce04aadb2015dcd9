"""Real parts for the tests: each fixture module starts one of them."""

import os

import pytest
from hypothesis import settings

# How long an example takes says more about the machine's other work than about ours.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.broker",
    "tests.fixtures.system",
    "tests.fixtures.browser",
]


@pytest.fixture(scope="session", autouse=True)
def _variables_of_the_tests_alone():
    """Hide from the product what the tests were given: by now they have read it."""
    for name in [name for name in os.environ if name.startswith("MIZUMORI_TEST_")]:
        del os.environ[name]
