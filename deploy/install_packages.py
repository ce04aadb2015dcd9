"""Install the Python packages of a lock file with pip, and show how far it is.

pip does the work, so that a city's mirror settings (pip.conf, PIP_INDEX_URL) hold. Standard
library only: it runs before there is anything else.
"""

import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

SAY_EVERY_S = 10.0  # when nobody watches a terminal
PIP = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")


def install(lock: Path) -> int:
    """Install what `lock` pins, then the project itself; return pip's exit code."""
    wanted = len(re.findall(r"^[A-Za-z0-9]", lock.read_text(encoding="utf-8"), re.MULTILINE))
    code = _run([*PIP, "--progress-bar", "off", "--require-hashes", "-r", str(lock)], wanted)
    if code == 0:
        code = _run([*PIP, "--no-deps", "--no-build-isolation", "--editable", "."], 1)
        _say_where_from_the_packages()
    return code


def _say_where_from_the_packages() -> None:
    """Let the packages' folder name this one by a relative path.

    Python reads that name in the encoding of the locale, and does not start at all if it cannot:
    a folder 水守, and a LANG that this machine has not generated.
    """
    packages = Path(sysconfig.get_path("purelib"))
    for link in packages.glob("_editable_impl_*.pth"):
        link.write_text(os.path.relpath(Path.cwd(), packages) + "\n", encoding="ascii")


def _run(command: list[str], wanted: int) -> int:
    tail: list[str] = []
    seen, said_at = 0, time.monotonic()
    watched = sys.stdout.isatty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for raw in pip.stdout:
            line = raw.strip()
            tail = [*tail[-14:], line]
            found = re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line)
            if found:
                seen += 1
                what = f"{min(seen, wanted)} of {wanted}: {found[1]}"
            elif line.startswith("Installing collected packages"):
                what = "unpacking"
            else:
                continue
            if watched:
                sys.stdout.write(f"\r\x1b[K      {what}")
                sys.stdout.flush()
            elif time.monotonic() - said_at > SAY_EVERY_S:
                said_at = time.monotonic()
                sys.stdout.write(f"      {what}\n")
                sys.stdout.flush()
        if watched:
            sys.stdout.write("\r\x1b[K")
        code = pip.wait()
    if code != 0:
        sys.stderr.write("\n".join(tail) + "\n")
        sys.stderr.write(
            "The Python packages could not be installed: pip says why above. Behind a proxy or "
            "mirror, set it in pip.conf or PIP_INDEX_URL, then run the command again.\n"
        )
    return code


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1])))
