"""Recordings that are played through the real door, and what should come of them."""

import csv
import gzip
import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import psycopg

from tests.chaos.alert_ledger import of_core

DATA = Path(__file__).parents[1] / "data"
FLOODS = DATA / "nyc_street_floods_2023-09-29.csv.gz"
PLOWS = DATA / "chicago_plows_2015-12-02.csv.gz"
POND = DATA / "pond_clock_steps_2020-01.csv.gz"


def replayed(system, path, town, *, times, speed):
    done = system.run(
        "sim", "replay", str(path), "--town", town, "--register", "--times", times,
        "--speed", str(speed), timeout_s=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + system.logs()
    sent, total, acknowledged = (
        int(number)
        for number in re.search(
            r"(\d+) of (\d+) readings .* sent, (\d+) acknowledged", done.stdout
        ).groups()
    )
    assert sent == total == acknowledged
    return sent


def rows(system, sql, *parameters):
    with psycopg.connect(system.dsn(), options="-c timezone=UTC") as conn:
        return conn.execute(sql, parameters).fetchall()


def contradictions(system):
    """Count other values beside what is stored; the same ones under higher numbers are none."""
    [[count]] = rows(
        system,
        "select count(*) from conflict c join observation o using (datastream_id, phenomenon_time)"
        " where c.value is distinct from o.value",
    )
    return count


def shuffled(path, folder, seed):
    """Write a recording as it arrives where each reading is late by up to six hours, some twice."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        header, *cells = csv.reader(lines)
    rng = np.random.default_rng(seed)
    cells += [cells[i] for i in rng.integers(0, len(cells), len(cells) // 10)]
    arrival_s = [
        datetime.fromisoformat(row[0]).timestamp() + delay_s
        for row, delay_s in zip(cells, rng.uniform(0, 6 * 3600, len(cells)), strict=True)
    ]
    made = folder / path.name.removesuffix(".gz")
    with made.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(cells[i] for i in np.argsort(arrival_s))])
    devices = path.name.replace(".csv.gz", ".devices.csv")
    shutil.copy(path.with_name(devices), folder / devices)
    return made


def ledger(system, town):
    """A town's alerts and changes of level as they stand, as bytes; ids and recording times apart.

    The order is that of device, rule and time.
    """
    standing = (
        " join alert a using (alert_id) join datastream s using (datastream_id)"
        " join device d using (device_id) join tenant t on t.tenant_id = d.tenant_id"
        " where t.code = %s and not a.withdrawn and a.merged_into is null"
    )
    alerts = rows(
        system,
        "select d.code, s.property, a.rule_code, a.rule_version, a.onset_time, a.clear_time,"
        " a.level, a.peak_level, a.peak_value, a.training from (select alert_id from alert) as one"
        f"{standing} order by d.code, s.property, a.rule_code, a.onset_time",
        town,
    )
    moves = rows(
        system,
        "select d.code, s.property, a.rule_code, x.rule_version, x.phenomenon_time, x.from_level,"
        f" x.to_level, x.value, x.evidence -> 'unconfirmed' from alert_transition x{standing}"
        " and x.withdrawn_revision is null"
        " order by d.code, s.property, a.rule_code, x.phenomenon_time, x.to_level",
        town,
    )
    return json.dumps([alerts, moves], default=str).encode(), len(moves)


def stored(system, table, town):
    """How many rows a town's devices have in `table`; what a job derives is nobody's message."""
    if table == "position":
        join = "join device using (device_id)"
    else:
        join = (
            "join datastream s on s.datastream_id = observation.datastream_id and not s.derived"
            " join device using (device_id)"
        )
    [[count]] = rows(
        system,
        f"select count(*) from {table} {join} join tenant t on t.tenant_id = device.tenant_id"
        " where t.code = %s",
        town,
    )
    return count


def ms(moment):
    return round(moment.timestamp() * 1000)


def ledger_offline(recording, shift_ms):
    """What the core alone makes of a recording of floods: transitions by device and rule."""
    return of_core(
        (row.device, row.sample.time_ms + shift_ms, row.sample.values["depth_m"])
        for row in recording.rows
    )
