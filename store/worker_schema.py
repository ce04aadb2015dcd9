"""The tables of the job queue: procrastinate's own SQL, in a schema of their own.

Its package brings one file with the whole schema and one per change since. A new database gets
the whole, an old one the changes that came with a newer package.
"""

from importlib import resources

from store.database import Connection

SCHEMA = "procrastinate"
SEARCH_PATH = f"-c search_path={SCHEMA} -c timezone=UTC"


def ensure_worker_schema(conn: Connection) -> list[str]:
    """Bring the job queue's tables to the installed package; returns the steps that were done."""
    files = resources.files("procrastinate.sql")
    steps = {
        file.name: file.read_text(encoding="utf-8")
        for file in (files / "migrations").iterdir()
        if file.name.endswith(".sql")
    }
    with conn.transaction():
        new = conn.execute("select to_regnamespace('procrastinate') is null").fetchone() == (True,)
        if new:
            conn.execute("create schema procrastinate")
            conn.execute("grant usage on schema procrastinate to mizumori_jobs")
        conn.execute("set local search_path = procrastinate")
        if new:
            conn.execute("create table schema_step (name text primary key)")
            conn.execute((files / "schema.sql").read_text(encoding="utf-8").encode())
            fresh = sorted(steps)
        else:
            done = {row[0] for row in conn.execute("select name from schema_step").fetchall()}
            fresh = sorted(steps.keys() - done)
            for name in fresh:
                conn.execute(steps[name].encode())
        with conn.cursor() as cursor:
            cursor.executemany("insert into schema_step values (%s)", [(name,) for name in fresh])
        conn.execute("grant all on all tables in schema procrastinate to mizumori_jobs")
        conn.execute("grant all on all sequences in schema procrastinate to mizumori_jobs")
        conn.execute("revoke all on schema_step from mizumori_jobs")
    return [] if new else fresh
