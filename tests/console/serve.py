"""The API as its own process, for tests that kill it: `python -m tests.console.serve DSN PORT`."""

import sys

from api.service import run
from api.settings import ApiSettings
from store.database import Database


def main(dsn: str, port: str) -> None:
    database = Database(dsn, name="test-console", max_size=8)
    try:
        run(ApiSettings(port=int(port), graceful_stop_s=1), database)
    finally:
        database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
