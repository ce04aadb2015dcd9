"""What `mizumori up` made at its first start and must find again: {data_dir}/embedded.toml.

Ports that were free, passwords that were random. The file is also a settings source, so that a
command in another terminal finds the running system.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.embedded.errors import EmbeddedError

FILE_NAME = "embedded.toml"

HEADER = """\
# Written by `mizumori up`: ports and passwords of the services it runs itself.
# Keep it with the data and keep it secret. Your own settings belong into mizumori.toml.
"""


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the remembered sections; empty if nothing is remembered yet.

    Raises
    ------
    EmbeddedError
        The file is there but cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EmbeddedError(
            f"{path} cannot be read ({error}); it holds the passwords of the data beside it: "
            "restore it from a backup, or run the command as the account that owns it."
        ) from error


def write(path: Path, sections: Mapping[str, Mapping[str, str | int]]) -> None:
    """Replace the file, whole or not at all, readable by its owner alone."""
    lines = [HEADER]
    for name, values in sections.items():
        lines.append(f"[{name}]\n")
        # A JSON string is a TOML basic string for everything that can occur in these.
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
        ]
        lines.append("\n")
    scratch = path.with_suffix(".tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("".join(lines))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
