"""Where the embedded database lives, and as whom it runs: docs/adr/postgres-as-root.md."""

import os
import pwd
import secrets
from pathlib import Path

from deploy.embedded.account import Account, database_account
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.postgres_cluster import Cluster

SHARED_STATE = Path("/var/lib/mizumori")


def place_database(data_dir: Path, remembered: Path | None, account_name: str) -> Cluster:
    """Decide on the database's folder and account; nothing is made yet.

    An ordinary user's database lies in `data_dir`. PostgreSQL refuses to run as root: then an
    unprivileged account runs it, in `data_dir` too if that account can get there, else (a
    checkout below /root, say) in a folder of its own under /var/lib/mizumori. Permissions of
    folders that we did not make are never changed.

    Parameters
    ----------
    data_dir
        The data directory; exists.
    remembered
        The folder chosen before, if it lies outside `data_dir`.
    account_name
        The setting embedded.account.

    Raises
    ------
    EmbeddedError
        The folder belongs to somebody else, or there is no account to run it with.
    """
    home = remembered or data_dir / "postgres"
    if home.exists():
        return Cluster(home, _owner(home))
    account = database_account(account_name)
    if account is None or account.reaches(data_dir):
        return Cluster(home, account)
    return Cluster(remembered or SHARED_STATE / secrets.token_hex(4), account)


def _owner(home: Path) -> Account | None:
    """Return whom an existing database belongs to; it goes on under that account."""
    uid = home.stat().st_uid
    if uid == os.geteuid() != 0:
        return None
    if uid == 0 or os.geteuid() != 0:
        raise EmbeddedError(
            f"The database in {home} belongs to {_name(uid)}; run the command as that account, "
            "or set embedded.data_dir to another folder."
        )
    return Account(_name(uid), uid, home.stat().st_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
