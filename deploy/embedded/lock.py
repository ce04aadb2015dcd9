"""A lock on a folder that ends with the process that holds it, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import Self


class FolderLockedError(Exception):
    """Another process holds the lock; `holder` is what it wrote about itself."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder} is in use")
        self.folder = folder
        self.holder = holder


class FolderLock:
    """An exclusive lock on a folder.

    Parameters
    ----------
    folder
        Exists already.
    name
        Name of the lock file in it.

    Raises
    ------
    FolderLockedError
        Somebody else holds it.
    """

    def __init__(self, folder: Path, name: str = "lock") -> None:
        # Not inherited by child processes: the lock must end with us, not with them.
        self._descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise FolderLockedError(folder, holder) from error
        self.describe(str(os.getpid()))

    def describe(self, holder: str) -> None:
        """Write who holds the lock, for the message to whoever comes second."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, holder.encode(), 0)

    def release(self) -> None:
        """Let others have the folder."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
