"""The jobs over a line to the database that forgets their connections without a word."""

import asyncio
import contextlib
import threading

import pytest
from procrastinate.exceptions import ConnectorException

from jobs import outbox
from jobs.outbox import OutboxPublisher
from jobs.settings import JobsSettings
from jobs.tasks import build_app
from jobs.town_publisher import BrokerAddress
from tests.fixtures.broker import wait_until
from tests.jobs.test_outbox import Desk, write


def test_the_outbox_goes_on_with_what_it_had_to_send(
    over_line, line, owner, kawabe, nats, monkeypatch
):
    monkeypatch.setattr(outbox, "LOOK_EVERY_S", 0.2)
    stop = threading.Event()
    publisher = OutboxPublisher(over_line, BrokerAddress(nats.host, nats.mqtt_port), stop)
    thread = threading.Thread(target=publisher.run)
    thread.start()
    with contextlib.closing(Desk(nats)) as desk:
        write(owner, kawabe, {"n": 1})
        wait_until(lambda: desk.bodies() == [{"n": 1}])
        line.forget()
        write(owner, kawabe, {"n": 2})
        # One connection after the other is used, found to be lost, and ended.
        wait_until(lambda: over_line.lines.look() >= 0 and {"n": 2} in desk.bodies())
    stop.set()
    wait_until(lambda: over_line.lines.look() >= 0 and not thread.is_alive())


def test_the_worker_is_told_that_the_database_is_away(over_line, line):
    """What `jobs.service` waits out, as of any other outage."""

    async def ask_in_vain():
        app = build_app(JobsSettings(), over_line)
        async with app.open_async():
            connection = app.connector.pool.connection()
            async with connection as conn:
                await conn.execute("select 1")
                line.forget()
                asked = asyncio.create_task(
                    app.connector.execute_query_one_async_with_connection(conn, "select 1 as one")
                )
                looked = 0
                while not asked.done():
                    looked += await asyncio.to_thread(over_line.lines.look)
                    await asyncio.sleep(0.01)
                assert looked
                with pytest.raises(ConnectorException):
                    await asked
                assert conn.closed

    asyncio.run(asyncio.wait_for(ask_in_vain(), 60))
