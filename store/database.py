"""A pool of connections for one database role."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from store.binary import use_columns
from store.errors import DatabaseAwayError
from store.line_watch import LineWatch

Connection = psycopg.Connection[TupleRow]

# A commit that hangs longer than this is an outage: the gateway's ack_wait is 15 s.
ANSWER_WITHIN_S = 5.0

# A connection that answered so lately is not asked whether it is still there.
TRUSTED_S = 1.0

# The server's side of the same: what a client that vanished has locked is free half a minute
# later, and not after the two hours that are the kernel's default.
SESSION = (
    "-c timezone=UTC -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
    "-c tcp_keepalives_count=3 -c tcp_user_timeout=25000"
)


def describe(dsn: str) -> str:
    """Name a database for a message: database, server and role, never the password."""
    parts = conninfo_to_dict(dsn)
    host = parts.get("host") or "the local socket"
    port = parts.get("port") or "5432"
    user = parts.get("user") or "the current user"
    return f"database {parts.get('dbname') or user} at {host}:{port} (role {user})"


class Database:
    """Transactions of one database role.

    Opening never waits: a database that is away is reported by the first transaction.

    Parameters
    ----------
    dsn
        Connection string with the role's user and password.
    name
        What the server shows in ``pg_stat_activity``: ``mizumori-gateway``.
    max_size
        Most connections held at a time.
    answer_within_s
        How long a transaction waits for a connection before the database counts as away.
    lines
        Of another one, to look after these connections too; None: one of its own.

    Attributes
    ----------
    lines
        Looks after the connections, once it is started.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        max_size: int = 4,
        answer_within_s: float = ANSWER_WITHIN_S,
        lines: LineWatch | None = None,
    ) -> None:
        self._where = describe(dsn)
        self._name = name
        self._answer_within_s = answer_within_s
        self.dsn = make_conninfo(
            dsn,
            application_name=name,
            connect_timeout=max(2, round(answer_within_s)),  # libpq: below 2 means 2
            # A server that vanished without a word is noticed within half a minute, also while
            # something that was sent to it is not confirmed: then no keepalive is sent.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=25_000,
            options=SESSION,
        )
        self._own_lines = LineWatch(self._connect)
        self.lines = lines or self._own_lines
        self._answered_s: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            self.dsn,
            name=name,
            min_size=1,
            max_size=max_size,
            timeout=answer_within_s,
            # Short, so that the pool tries again at the next request and not after a long pause.
            reconnect_timeout=answer_within_s,
            configure=self._configure,
            check=self._check,
            open=False,
        )
        self._pool.open(wait=False)

    @contextmanager
    def transaction(
        self, tenant_id: int | None = None, *, plan_once: bool = False
    ) -> Iterator[Connection]:
        """Run a block in one transaction: committed at its end, rolled back if it raises.

        Parameters
        ----------
        tenant_id
            The town that row-level security shows (for the API's role); None shows none to it.
        plan_once
            With a town: plans that were made for any parameters are good enough. For what is asked
            many times a second, where planning costs more than the answer.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer, or the connection broke before the commit was
            confirmed. The work may then be tried again.
        """
        try:
            with self._pool.connection() as conn:
                if tenant_id is not None:
                    plans = "force_generic_plan" if plan_once else "auto"
                    conn.execute(
                        "select set_config('mizumori.tenant_id', %s, true), "
                        "set_config('plan_cache_mode', %s, true)",
                        (str(tenant_id), plans),
                    )
                yield conn
            self._answered_s[conn] = time.monotonic()
        except PoolTimeout as error:
            raise self._away(error) from error
        except psycopg.OperationalError as error:
            if is_away(error):
                raise self._away(error) from error
            raise

    def one_session(self) -> "Database":
        """Return a pool of one session for one thread that repeats itself.

        What a pool's sessions know of statements and tables each has to learn: one in use all the
        time answers sooner than several in turn. One transaction cannot be within another.
        """
        return Database(
            self.dsn,
            name=self._name,
            max_size=1,
            answer_within_s=self._answer_within_s,
            lines=self.lines,
        )

    def connect(self) -> Connection:
        """Open a connection of its own, in autocommit, for LISTEN or a long-held lock.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        conn = self._connect()
        self._configure(conn)
        return conn

    def _connect(self) -> Connection:
        try:
            return psycopg.connect(self.dsn, autocommit=True)
        except psycopg.OperationalError as error:
            raise self._away(error) from error

    def _configure(self, conn: Connection) -> None:
        use_columns(conn)
        self.lines.add(conn)

    def _check(self, conn: Connection) -> None:
        """Ask a connection whether it is still there, unless that is as good as sure."""
        lately = time.monotonic() - self._answered_s.get(conn, -TRUSTED_S) < TRUSTED_S
        # A server that goes says so, and what nobody asked for can be read.
        if not lately or _readable(conn):
            ConnectionPool.check_connection(conn)

    def _away(self, error: Exception) -> DatabaseAwayError:
        return DatabaseAwayError(
            f"{self._where} does not answer: {str(error).strip()}. "
            "Is it running, and are the address and the password in the settings right?"
        )

    def close(self) -> None:
        """Close every connection; transactions under way finish first."""
        self._own_lines.stop()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def alone(conn: Connection) -> Iterator[None]:
    """Let the one statement of a block be a transaction of its own, committed with it.

    Where one is under way it stays a part of that. Saves two ways there and back: BEGIN, COMMIT.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        yield
        return
    conn.autocommit = True
    try:
        yield
    finally:
        if conn.info.transaction_status == TransactionStatus.IDLE:
            conn.autocommit = False


def _readable(conn: Connection) -> bool:
    poller = select.poll()
    poller.register(conn, select.POLLIN)
    return bool(poller.poll(0))


def is_away(error: psycopg.OperationalError) -> bool:
    """Tell a lost server from an error that would come again.

    Class 08 is a connection error, 57P01 to 57P03 a shutdown or a start, 53 a lack of
    resources (disk full, too many connections); no code at all comes from libpq itself.
    """
    state = error.sqlstate
    return state is None or state[:2] in {"08", "53"} or state in {"57P01", "57P02", "57P03"}
