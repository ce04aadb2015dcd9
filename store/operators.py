"""Operators: who speaks for many devices of a town, by HTTP or under topics of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from store import queries
from store.database import Connection
from store.errors import RefusedError

_SQL = queries.load("operators")


@dataclass(frozen=True, slots=True)
class Operator:
    """A network operator, or a network server. It speaks for devices of its codec only.

    Attributes
    ----------
    device_field
        Where a pushed body names its device, with dots; empty: only the address does.
    topic
        Its topics with ``{device}`` for the level that is the device's code; None: no MQTT.
    """

    operator_id: int
    tenant_id: int
    tenant_code: str
    code: str
    codec: str
    device_field: str
    topic: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewOperator:
    """An operator to add. Its text form holds no hashes."""

    code: str
    codec: str
    device_field: str
    topic: str | None
    token_hash: bytes = field(repr=False)
    secret_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class BrokerOperator:
    """An operator that may connect to the broker: its town, its name, its topics, its secret.

    `not_for` are the devices of the town that it may not speak for: those of another codec.
    `revoked_lately`: a minute ago at most, so that somebody may not have heard of it.
    """

    operator_id: int
    tenant_code: str
    code: str
    topic: str
    secret_hash: str = field(repr=False)
    not_for: Sequence[str] = ()
    revoked_lately: bool = False


def token_hash(token: str) -> bytes:
    """Return what is kept of a token.

    A token is 128 random bits, which nobody guesses: a plain hash protects them as well as a slow
    one would, and finds the row.
    """
    return hashlib.sha256(token.encode()).digest()


def by_token(conn: Connection, token: str) -> Operator | None:
    """Find the operator whose token this is; None: nobody's, or revoked."""
    with conn.cursor(row_factory=class_row(Operator)) as cursor:
        return cursor.execute(_SQL["by_token"], {"token_hash": token_hash(token)}).fetchone()


def operators(conn: Connection, tenant_id: int | None = None) -> list[Operator]:
    """List the operators of a town, or of all towns, that are not revoked."""
    with conn.cursor(row_factory=class_row(Operator)) as cursor:
        return cursor.execute(_SQL["operators"], {"tenant_id": tenant_id}).fetchall()


def add(conn: Connection, tenant_id: int, new: NewOperator) -> None:
    """Add an operator.

    Raises
    ------
    RefusedError
        The town has one of this name, or the name cannot be one.
    """
    try:
        conn.execute(_SQL["add"], {"tenant_id": tenant_id, **asdict(new)})
    except psycopg.errors.UniqueViolation as error:
        raise RefusedError(
            f"The town has an operator {new.code} already; revoke it first."
        ) from error
    except psycopg.errors.CheckViolation as error:
        raise RefusedError(
            f"{new.code!r} cannot be an operator's name: a small letter, then up to 30 small "
            "letters, digits and hyphens; admin and gateway are taken."
        ) from error


def revoke(conn: Connection, tenant_id: int, code: str) -> None:
    """Take an operator's token away, at once and for good.

    Raises
    ------
    RefusedError
        The town has none of this name.
    """
    if not conn.execute(_SQL["revoke"], {"tenant_id": tenant_id, "code": code}).rowcount:
        raise RefusedError(f"The town has no operator {code}.")


def at_broker(conn: Connection, *, revoked: bool = False) -> list[BrokerOperator]:
    """Return the operators of all towns that may connect to the broker, or may not any more."""
    rows = conn.execute(_SQL["at_broker"], {"revoked": revoked}).fetchall()
    return [BrokerOperator(*row) for row in rows]
