"""`mizumori up --gateways n`, and what is said when no gateway listens."""

import contextlib
import json
import os
import signal
import urllib.error
import urllib.request

import psycopg
import pytest

from tests.deploy.test_up import add_first_device, publish, readings
from tests.fixtures.broker import wait_until


def ready(system) -> tuple[int, str]:
    """Ask /ready: its status, and the word on the gateway."""
    try:
        with urllib.request.urlopen(f"{system.url}/ready", timeout=60) as answer:
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        status, body = error.code, json.load(error)["readiness"]
    return status, body["parts"]["gateway"]["detail"]


def shares(system) -> dict[str, int]:
    with psycopg.connect(system.dsn()) as connection:
        rows = connection.execute(
            "select holder, count(*) from intake where listening_since is not null group by holder"
        )
        return dict(rows.fetchall())


@pytest.mark.timeout(600)
def test_two_gateways_share_and_silence_is_told(new_system):
    system = new_system
    system.gateways = 2
    system.start()
    assert set(system.parts()) == {"database", "broker", "gateway-1", "gateway-2", "jobs", "api"}
    line = add_first_device(system)
    wait_until(lambda: shares(system) == {"gateway-1": 2, "gateway-2": 2})
    publish(line, 0.07)
    wait_until(lambda: readings(system) == [0.07], message=system.logs)
    wait_until(lambda: ready(system)[0] == 200, message=lambda: str(ready(system)))
    assert "somebody listens to all 4 partitions" in system.run("doctor", "--no-probe").stdout

    frozen = [system.pid(name) for name in system.gateway_parts]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        nobody = "No gateway listens to kawabe (last sign of life "
        wait_until(lambda: ready(system)[1].startswith(nobody), message=lambda: str(ready(system)))
        assert ready(system)[0] == 503
        done = system.run("doctor", "--no-probe")
        assert done.returncode == 1
        assert "No gateway listens to kawabe" in done.stdout
    finally:
        for pid in frozen:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
    wait_until(lambda: ready(system)[0] == 200)
    publish(line, 0.08)
    wait_until(lambda: readings(system) == [0.07, 0.08], message=system.logs)
    assert system.stop() == 0
