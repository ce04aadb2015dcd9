"""The unprivileged account that runs the database when we are root: PostgreSQL refuses root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import EmbeddedError


@dataclass(frozen=True)
class Account:
    """A system account."""

    name: str
    uid: int
    gid: int

    def reaches(self, path: Path, *, write: bool = False) -> bool:
        """Return whether the account can get to `path`, as the kernel sees it."""
        test = "-w" if write else "-x"
        return (
            subprocess.run(
                ["/usr/bin/test", test, str(path)],
                user=self.uid,
                group=self.gid,
                extra_groups=[],
                cwd="/",
                check=False,
            ).returncode
            == 0
        )


def database_account(name: str) -> Account | None:
    """Return the account for the database; None: we are not root and run it ourselves.

    Parameters
    ----------
    name
        The setting embedded.account; empty for `mizumori` if it exists, else `nobody`.

    Raises
    ------
    EmbeddedError
        The account does not exist or is root.
    """
    if os.geteuid() != 0:
        return None
    for candidate in (name,) if name else ("mizumori", "nobody"):
        try:
            found = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if found.pw_uid == 0:
            raise EmbeddedError(
                f"embedded.account is {candidate}, which is root: PostgreSQL refuses to run as "
                "root; name another account."
            )
        return Account(found.pw_name, found.pw_uid, found.pw_gid)
    raise EmbeddedError(
        f"There is no account {name or 'nobody'} on this machine to run the database with; "
        "create one with `useradd --system mizumori`, or name one in embedded.account."
    )
