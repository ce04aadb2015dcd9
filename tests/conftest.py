"""Real parts for the tests: each fixture module starts one of them."""

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.broker",
    "tests.fixtures.system",
    "tests.fixtures.browser",
]
