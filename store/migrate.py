"""Bring a database to the schema of this program, with numbered plain SQL files.

``NNNN_name.sql`` serves both engines; ``NNNN_name.plain.sql`` and ``NNNN_name.timescale.sql``
are two flavours of the same step. A database keeps the engine that its first migration found.
"""

import enum
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from store.database import Connection, describe
from store.errors import DatabaseAwayError, MigrationError
from store.worker_schema import ensure_worker_schema

FOLDER = Path(__file__).parent / "migrations"
OLDEST_POSTGRESQL = 150000
OLDEST_TIMESCALE = (2, 18)  # the first with columnstore under its present names
NO_TRANSACTION = "-- no transaction"
_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+?)(?:\.(plain|timescale))?\.sql$")


class Engine(enum.StrEnum):
    """What keeps the readings."""

    PLAIN = "plain"
    TIMESCALE = "timescale"


@dataclass(frozen=True)
class Migration:
    """One step: a file of `FOLDER`."""

    version: int
    name: str
    engine: Engine | None  # None: the same for both
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text without comments and white space, which may be mended later."""
        bare = re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", self.text)).strip()
        return hashlib.sha256(bare.encode()).hexdigest()


@dataclass(frozen=True)
class Migrated:
    """What `migrate` found and did."""

    engine: Engine
    version: int
    applied: tuple[str, ...]
    remark: str  # why this engine, for the log


def migrations(engine: Engine, folder: Path = FOLDER) -> list[Migration]:
    """List the steps of one engine, in order.

    Raises
    ------
    MigrationError
        If a file is misnamed, or numbers are missing or doubled.
    """
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named like 0001_name.sql")
        flavour = Engine(match[3]) if match[3] else None
        if flavour in (None, engine):
            text = path.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], flavour, text))
    numbers = [step.version for step in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"The migrations for {engine} are numbered {numbers}, not 1, 2, 3 …")
    return found


def migrate(owner_dsn: str, engine: Engine | None = None, folder: Path = FOLDER) -> Migrated:
    """Apply what is missing; safe to run by two programs at once.

    Parameters
    ----------
    owner_dsn
        Connection string of the role that owns the schema. The roles of `store.roles` exist.
    engine
        The engine for a new database; None takes TimescaleDB where it can be had.

    Raises
    ------
    MigrationError
        If the database is newer than the program, was migrated with other files, has another
        engine than asked for, or a step fails: in words.
    DatabaseAwayError
        If the database does not answer.
    """
    try:
        with psycopg.connect(owner_dsn, autocommit=True) as conn:
            if conn.info.server_version < OLDEST_POSTGRESQL:
                raise MigrationError(
                    f"{describe(owner_dsn)} is PostgreSQL {conn.info.server_version // 10000}; "
                    "Mizumori needs 15 or later."
                )
            new = schema_version(conn) == 0
        refusal = _create_timescale(owner_dsn) if new and engine is not Engine.PLAIN else ""
        with psycopg.connect(owner_dsn, autocommit=True) as conn:
            conn.execute("select pg_advisory_lock(hashtext('mizumori.migrate'))")
            return _migrate(conn, owner_dsn, engine, refusal, folder)
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(
            f"{describe(owner_dsn)} does not answer: {str(error).strip()}"
        ) from error


def schema_version(conn: Connection) -> int:
    """Tell the version of a database; 0 is an empty one."""
    [[table]] = conn.execute("select to_regclass('public.schema_version')::text").fetchall()
    if table is None:
        return 0
    [[version]] = conn.execute("select coalesce(max(version), 0) from schema_version").fetchall()
    return int(version)


def _migrate(
    conn: Connection, dsn: str, asked: Engine | None, refusal: str, folder: Path
) -> Migrated:
    conn.execute(
        "create table if not exists schema_version ("
        " version integer primary key, name text not null, engine text not null,"
        " checksum text not null, applied_at timestamptz not null default now())"
    )
    done = conn.execute(
        "select version, name, engine, checksum from schema_version order by version"
    ).fetchall()
    engine, remark = _engine(conn, dsn, done, asked, refusal)
    steps = migrations(engine, folder)
    if len(done) > len(steps):
        raise MigrationError(
            f"{describe(dsn)} has schema version {done[-1][0]}, this program knows {len(steps)}: "
            "it was used by a newer Mizumori. Install that version again, or restore the backup "
            "made before the upgrade."
        )
    for (version, name, _, checksum), step in zip(done, steps, strict=False):
        if (version, checksum) != (step.version, step.checksum):
            raise MigrationError(
                f"{describe(dsn)} was migrated with another text of step {version:04} ({name}). "
                "A released step never changes: this program and the database do not belong "
                "together. Restore a backup, or start with an empty database."
            )
    for step in steps[len(done) :]:
        _apply(conn, step, engine)
    ensure_worker_schema(conn)
    names = tuple(f"{step.version:04}_{step.name}" for step in steps[len(done) :])
    return Migrated(engine, len(steps), names, remark)


def _apply(conn: Connection, step: Migration, engine: Engine) -> None:
    try:
        if step.text.startswith(NO_TRANSACTION):
            conn.execute(step.text.encode())
            _record(conn, step, engine)
        else:
            with conn.transaction():
                conn.execute(step.text.encode())
                _record(conn, step, engine)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationError(
            f"Step {step.version:04}_{step.name} ({engine}) failed and was undone: "
            f"{error.diag.message_primary or error}"
        ) from error


def _record(conn: Connection, step: Migration, engine: Engine) -> None:
    conn.execute(
        "insert into schema_version (version, name, engine, checksum) values (%s, %s, %s, %s)",
        (step.version, step.name, engine.value, step.checksum),
    )


def _engine(
    conn: Connection,
    dsn: str,
    done: Sequence[tuple[object, ...]],
    asked: Engine | None,
    refusal: str,
) -> tuple[Engine, str]:
    if done:
        engine = Engine(str(done[0][2]))
        if asked not in (None, engine):
            raise MigrationError(
                f"{describe(dsn)} was made for the engine '{engine}', not for '{asked}'. "
                "docs/database.md says how to copy it."
            )
        return engine, "as the database was made"
    if asked is Engine.PLAIN:
        return Engine.PLAIN, "as it was asked for"
    # Looked at again, since another migrator may have made it while ours was refused.
    row = conn.execute(
        "select extversion from pg_extension where extname = 'timescaledb'"
    ).fetchone()
    if row is not None and _numbers(str(row[0])) >= OLDEST_TIMESCALE:
        return Engine.TIMESCALE, f"TimescaleDB {row[0]} is there"
    if asked is Engine.TIMESCALE:
        raise MigrationError(f"{describe(dsn)} cannot use TimescaleDB: {refusal}")
    return Engine.PLAIN, refusal


def _create_timescale(dsn: str) -> str:
    """Make the extension on a connection of its own, or say why that cannot be."""
    # Its own connection: without preloading the server ends the session that tries.
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            row = conn.execute(
                "select coalesce(installed_version, default_version)"
                " from pg_available_extensions where name = 'timescaledb'"
            ).fetchone()
            if row is None:
                return "the TimescaleDB extension is not installed on the server"
            version = str(row[0])
            if _numbers(version) < OLDEST_TIMESCALE:
                return f"TimescaleDB {version} is older than 2.18"
            conn.execute("create extension if not exists timescaledb")
    except psycopg.Error as error:
        detail = error.diag.message_primary or str(error).strip()
        return f"the TimescaleDB extension could not be made ({detail})"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
