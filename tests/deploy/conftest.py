"""The command line as a person types it, over a database of the test's own."""

import os
import subprocess
import sys

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.fixtures.database import PASSWORD


@pytest.fixture
def mizumori(database_dsn, tmp_path):
    """Runs `mizumori`; returns what it said, of a refusal what it said on standard error."""
    parts = conninfo_to_dict(database_dsn.owner)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MIZUMORI_")} | {
        "MIZUMORI_DATABASE__DSN": f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}",
        "MIZUMORI_DATABASE__OWNER_PASSWORD": PASSWORD,
        "COLUMNS": "200",
    }

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words], cwd=tmp_path,
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    return run
