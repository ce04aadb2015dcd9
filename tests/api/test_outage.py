"""The database goes away and comes back: said in words, never hanging, and mended by itself."""

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from detectors.sentence import Sentence
from tests.api import japanese
from tests.api.conftest import serving
from tests.api.seed import ago
from tests.api.sse import listening
from tests.fixtures.broker import wait_until


def cut(postgres, database_dsn, allow):
    """Take the database away (nobody gets in), or give it back."""
    name = psycopg.conninfo.conninfo_to_dict(database_dsn.api)["dbname"]
    with psycopg.connect(postgres.dsn, autocommit=True) as conn:
        conn.execute(f"alter database {name} allow_connections {str(allow).lower()}")
        if not allow:
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = %s and usename = 'mizumori_api'",
                (name,),
            )


@pytest.fixture
def served(database_dsn, seed):  # noqa: ARG001 (its town)
    with serving(database_dsn.api, answer_within_s=1.0) as api:
        answers(api)
        yield api


def answers(api):
    """Wait until the database is reached within that second."""
    wait_until(lambda: api.get("/towns").status_code == 200)


def test_while_the_database_is_away_every_route_says_so_and_then_works_again(
    postgres, database_dsn, seed, served
):
    stream = seed.streams["f1", "depth_m"]
    with listening(served) as feed:
        feed.next("hello")
        cut(postgres, database_dsn, allow=False)
        try:
            for path in ("/towns", "/sakata/devices", "/sakata/live"):
                body = served.problem(path, 503, "database-away")
                assert "nothing is lost" in body["detail"]
                assert "password" not in str(body)
            assert served.get("/towns").headers["retry-after"] == "5"
            assert served.client.get("/health").status_code == 200

            def away():
                parts = (ready := served.client.get("/ready")).json()["readiness"]["parts"]
                found = {parts["database"]["state"], parts["live_feed"]["state"]}
                return found == {"away"} and ready

            ready = wait_until(away)
            assert ready.status_code == 503
            assert "mizumori doctor" in ready.json()["detail"]
            ready = served.client.get("/ready", headers=japanese.ASKED)
            assert "mizumori doctor" in japanese.said(ready)["detail"]
            assert "mizumori_api_database_up 0.0" in served.client.get("/metrics").text
        finally:
            cut(postgres, database_dsn, allow=True)
        assert feed.next("reload")["data"] == {"reason": "database_back"}
        answers(served)
        seed.latest(stream, 0.3)
        seed.notify(datastreams=[stream])
        assert feed.next("reading")["data"]["value"] == 0.3
    wait_until(lambda: served.client.get("/ready").json().get("state") == "ready")


def test_a_file_that_breaks_off_is_seen_to_be_incomplete(postgres, database_dsn, seed, served):
    stream = seed.streams["f1", "depth_m"]
    with seed.database.transaction() as conn:
        conn.execute(
            "insert into observation (phenomenon_time, received_time, value, datastream_id, flag)"
            " select %s + n * interval '1 second', now(), n, %s, 1"
            " from generate_series(1, 400000) n",
            (ago(days=6), stream),
        )
    path = f"/api/v1/sakata/datastreams/{stream}/observations"
    query = {"from": ago(days=7).isoformat(), "format": "csv"}

    def read_on(chunks):
        for _ in chunks:
            pass

    try:
        with served.client.stream("GET", path, params=query) as answer:
            assert answer.status_code == 200
            chunks = answer.iter_bytes()
            next(chunks)
            cut(postgres, database_dsn, allow=False)
            with pytest.raises(httpx.RemoteProtocolError), capture_logs():
                read_on(chunks)
    finally:
        cut(postgres, database_dsn, allow=True)


@pytest.mark.usefixtures("seed")
def test_ready_also_tells_what_others_watch(database_dsn):
    said = Sentence("The broker does not store messages: {complaint}.", complaint="disk full")
    answers = {"broker": [said, said]}
    with serving(database_dsn.api, checks={"broker": lambda: answers["broker"]}) as api:
        ready = api.client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["detail"] == f"{said} {said}"
        body = japanese.said(api.client.get("/ready", headers=japanese.ASKED))
        assert body["detail"] == "ブローカーがメッセージを保管していません：disk full。" * 2
        assert body["readiness"]["parts"]["broker"] == {"state": "away", "detail": body["detail"]}
        assert body["type"] == "urn:mizumori:problem:not-ready"
        answers["broker"] = []
        assert api.client.get("/ready").json()["parts"]["broker"]["detail"] == "The broker answers."
        ready = api.client.get("/ready", headers=japanese.ASKED)
        assert ready.headers["content-language"] == "ja"
        assert ready.json()["parts"]["broker"] == {
            "state": "ok",
            "detail": "「broker」は応答しています。",
        }


def test_a_database_without_a_schema_is_told_apart(empty_dsn):
    with serving(empty_dsn) as api:
        assert "mizumori migrate" in api.client.get("/ready").json()["detail"]
