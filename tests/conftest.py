"""Real parts for the tests: each fixture module starts one of them."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's other work than about ours. What the
# suite says is to depend on the code alone: it draws the same examples each time, and
# `--hypothesis-profile=search` looks for others.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("search", **PATIENT)
settings.register_profile("suite", **PATIENT, derandomize=True)
settings.load_profile("suite")

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.database_line",
    "tests.fixtures.broker",
    "tests.fixtures.system",
    "tests.fixtures.browser",
]


MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes: each worker and system has a database of 0.1 GB, and 0.25 of log at most


def _write_into_memory():
    """Let what the tests write lie in memory: they make and drop hundreds of databases.

    Where there is too little of it, and in containers that may run no program in there, it lies on
    the disk; `TMPDIR` names another place. None of the tests cuts the power.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return  # the workers of pytest-xdist have it from the process that starts them
    there = os.statvfs(MEMORY)
    if there.f_bavail * there.f_frsize < ROOM or there.f_flag & os.ST_NOEXEC:
        return
    folder = MEMORY / f"mizumori-tests-{os.getpid()}"
    for left in MEMORY.glob("mizumori-tests-*"):
        if left == folder or not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)  # its run was killed
    folder.mkdir()
    folder.chmod(0o711)  # the account that runs the databases passes through
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    # What is loaded later ends before this, and clears up its own files in there.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


_write_into_memory()


@pytest.fixture(scope="session", autouse=True)
def _variables_of_the_tests_alone():
    """Hide from the product what the tests were given: by now they have read it."""
    for name in [name for name in os.environ if name.startswith("MIZUMORI_TEST_")]:
        del os.environ[name]
