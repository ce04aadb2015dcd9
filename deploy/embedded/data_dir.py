"""The data directory of `mizumori up`."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import EmbeddedError

NEEDED_MB = 300  # a new database with its log, and room for the broker to say no in order


@dataclass(frozen=True)
class DataDir:
    """Where everything of one running system lies."""

    root: Path

    @property
    def log(self) -> Path:
        """Logs, one file a service."""
        return self.root / "log"

    @property
    def run(self) -> Path:
        """Process ids, for a supervisor that comes after a kill."""
        return self.root / "run"

    @property
    def broker(self) -> Path:
        """The broker's configuration and store."""
        return self.root / "broker"

    @property
    def maps(self) -> Path:
        """The towns' own lines for the console's map, one file a town."""
        return self.root / "maps"

    def prepare(self) -> None:
        """Make the folders; existing ones keep their permissions.

        Raises
        ------
        EmbeddedError
            The folder cannot be made or written, or its disk is full.
        """
        try:
            for folder in (self.root, self.log, self.run):
                folder.mkdir(parents=True, exist_ok=True)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise EmbeddedError(self._refusal()) from error
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.root} cannot be made ({error.strerror}): mount its disk "
                "for writing, or set embedded.data_dir to another folder."
            ) from error
        for folder in (self.root, self.log, self.run):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise EmbeddedError(self._refusal())
        free_mb = shutil.disk_usage(self.root).free // 1_000_000
        if free_mb < NEEDED_MB:
            raise EmbeddedError(
                f"The disk of {self.root} has {free_mb} MB left and Mizumori needs {NEEDED_MB} MB: "
                "make room, or set embedded.data_dir to a folder on another disk."
            )

    def _refusal(self) -> str:
        return (
            f"The data folder {self.root} is not writable by this account: run the command as the "
            "account that owns it, or set embedded.data_dir to another folder."
        )
