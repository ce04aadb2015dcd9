"""What a service writes when something unexpected happens."""

import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from deploy.settings import LogSettings
from deploy.structured_log import configure_log

def connect(password):
    raise ValueError("a bug")

configure_log(LogSettings(format="{form}"), "jobs")
try:
    connect("hunter" + str(2))
except ValueError:
    structlog.get_logger().exception("task failed")
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_names_the_place_and_shows_no_values(form):
    program = PROGRAM.format(form=form)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "task failed" in done.stderr
    assert "ValueError" in done.stderr
    assert "connect" in done.stderr
    assert "hunter2" not in done.stderr
