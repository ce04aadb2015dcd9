"""Which program listens on a port of this machine, as far as the kernel tells us."""

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"
ANY = {"0.0.0.0", "::"}  # noqa: S104 - compared


def holder(host: str, port: int) -> str:
    """Return who keeps us from listening, such as `nginx (process 812)`.

    Of other accounts' programs the kernel tells root alone: then it is `another program`.
    """
    sockets = {f"socket:[{inode}]" for inode in _listeners(host, port)}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with suppress(OSError):  # not ours to look at, or ended meanwhile
            if sockets and any(
                str(link.readlink()) in sockets for link in (folder / "fd").iterdir()
            ):
                name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (process {folder.name})"
    return "another program"


def _listeners(host: str, port: int) -> Iterator[str]:
    """Find the inodes of the sockets that listen where a server at `host` and `port` would."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
            for fields in map(str.split, lines):
                address, _, number = fields[1].partition(":")
                if fields[3] == LISTENING and int(number, 16) == port:
                    found = _address(address)
                    if host in ANY or found in {host, *ANY}:
                        yield fields[9]


def _address(text: str) -> str:
    """Read an address as the kernel prints it: words of 32 bits in this machine's order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
