"""The API as its own process, for tests that kill it."""

from api.service import run
from api.settings import ApiSettings
from store.database import Database


def main(dsn: str, port: str) -> None:
    """Serve until killed; what it says goes where the tests' own output goes."""
    database = Database(dsn, name="test-console", max_size=8)
    try:
        run(ApiSettings(port=int(port), graceful_stop_s=1), database)
    finally:
        database.close()
