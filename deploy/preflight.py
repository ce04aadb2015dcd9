"""Say in one sentence what is missing before anything is installed.

Runs with whatever Python the machine has: nothing here is newer than Python 3.6.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

OLDEST = (3, 11)
NEEDED_MB = 1500  # packages with the browser libraries, and the first data
FOLDER = Path(__file__).resolve().parent.parent


def problem() -> str:
    """Return what stands in the way, or an empty string."""
    version = sys.version_info[:2]
    if version < OLDEST:
        return (
            f"Mizumori needs Python 3.11 or later, and {sys.executable} is {version[0]}."
            f"{version[1]}: install python3.11 and python3.11-venv, then run the command again."
        )
    # Debian and Ubuntu split venv: without python3-venv the module is there, ensurepip is not.
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return (
            "Python's venv module is incomplete: install it with `apt install python3-venv` "
            f"(or python{version[0]}.{version[1]}-venv), then run the command again."
        )
    if not os.access(str(FOLDER), os.W_OK):
        return (
            f"{FOLDER} is not writable by this account: clone the project into a folder of your "
            "own, or run the command as the account that owns it."
        )
    free_mb = shutil.disk_usage(str(FOLDER)).free // 1000000
    if free_mb < NEEDED_MB:
        return (
            f"The disk of {FOLDER} has {free_mb} MB left and Mizumori needs {NEEDED_MB} MB: make "
            "room, or clone the project onto another disk."
        )
    return ""


if __name__ == "__main__":
    sys.exit(problem() or 0)
