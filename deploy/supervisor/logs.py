"""Keeping the services' logs bounded while they are being written."""

import shutil
from pathlib import Path


def trim(folder: Path, max_bytes: int) -> None:
    """Move what a log holds beyond `max_bytes` aside, keeping one older part.

    The writers append and never hear of it. Lines written between copy and cut are lost: the
    price of logs that outlive their supervisor without a log daemon.
    """
    for log in folder.glob("*.log"):
        if log.stat().st_size > max_bytes:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            with log.open("r+b") as file:
                file.truncate(0)


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
