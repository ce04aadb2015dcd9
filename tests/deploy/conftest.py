"""The command line as a person types it, over a database of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.fixtures.database import PASSWORD


@pytest.fixture
def mizumori(database_dsn, tmp_path):
    return command_line(database_dsn.owner, tmp_path)


def command_line(owner_dsn, folder):
    """Runs `mizumori`; returns what it said, of a refusal what it said on standard error."""
    parts = conninfo_to_dict(owner_dsn)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MIZUMORI_")} | {
        "MIZUMORI_DATABASE__DSN": f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}",
        **{
            f"MIZUMORI_DATABASE__{role}_PASSWORD": PASSWORD
            for role in ("OWNER", "GATEWAY", "JOBS", "API")
        },
        "COLUMNS": "200",
    }

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words], cwd=folder,
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture
def small_disk():
    """A folder on a disk of 20 MB, which other accounts can reach."""
    place = Path(f"/var/tmp/mizumori-full-{os.getpid()}")
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=777", "tmpfs", str(place)]
    try:
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("this container may not mount")
        yield place
        subprocess.run(["umount", str(place)], check=True)
    finally:
        place.rmdir()
