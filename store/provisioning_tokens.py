"""Tokens with which a program may write a town's sites, devices and rules through the API."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from store import queries
from store.database import Connection
from store.errors import RefusedError

_SQL = queries.load("provisioning_tokens")
_PREFIX = "mzt_"  # so that a token in a file or a log is recognised for what it is


@dataclass(frozen=True)
class Token:
    """A token, without its secret."""

    token_id: int
    tenant_id: int
    name: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_write: datetime | None
    valid: bool


def new_token() -> str:
    """Return a new token: 128 random bits."""
    return _PREFIX + secrets.token_hex(16)


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a token; random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def add(conn: Connection, tenant_id: int, name: str, token: str, lifetime: timedelta) -> None:
    """Let a token in, under the name of who uses it.

    Raises
    ------
    RefusedError
        If the name is taken by a token that was not revoked, or cannot be one.
    """
    parameters = {
        "tenant_id": tenant_id,
        "name": name,
        "hash": token_hash(token),
        "lifetime": lifetime,
    }
    try:
        with conn.transaction():
            conn.execute(_SQL["add"], parameters)
    except psycopg.errors.UniqueViolation as error:
        raise RefusedError(
            f"There is a token {name!r} already: revoke it first, or choose another name."
        ) from error
    except psycopg.errors.CheckViolation as error:
        raise RefusedError(
            f"{name!r} cannot be a token's name: 1 to 63 characters, no blanks around it."
        ) from error


def tokens(conn: Connection, tenant_id: int | None = None) -> list[Token]:
    """List tokens, of one town or (None) of all, with when each last wrote something."""
    with conn.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(_SQL["tokens"], {"tenant_id": tenant_id}).fetchall()


def revoke(conn: Connection, tenant_id: int, name: str) -> None:
    """Let a token in no more, from this commit on.

    Raises
    ------
    RefusedError
        If there is none of that name that was not revoked.
    """
    if not conn.execute(_SQL["revoke"], {"tenant_id": tenant_id, "name": name}).rowcount:
        raise RefusedError(f"There is no token {name!r} that could be revoked.")


def present(conn: Connection, token: str) -> str | None:
    """Show a token to the database, for this transaction of a town.

    The row-level rules of 0009_provisioning.sql let the API's role write only after this, and
    only while the token is valid for the town of the transaction.

    Returns
    -------
    str or None
        The name of the token; None if it is not valid here.
    """
    conn.execute(_SQL["present"], {"hash": token_hash(token).hex()})
    row = conn.execute(_SQL["presented"]).fetchone()
    return None if row is None else str(row[0])
