"""The configuration file on the disk: written whole or not at all, readable by its owner only."""

import os
import tempfile
from pathlib import Path


def write_if_changed(path: Path, text: str) -> bool:
    """Put the text in place of the file, if it differs.

    The file holds hashes of secrets, so its mode is 0600 from its first byte on. Somebody who
    reads it while it is renewed sees the old file or the new one.

    Returns
    -------
    bool
        True if the file was written: the server must be told to read it again.
    """
    try:
        if path.read_text(encoding="utf-8") == text:
            path.chmod(0o600)
            return False
    except FileNotFoundError:
        pass
    # mkstemp makes files of mode 0600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
