"""Foreign devices, refused messages that are replayed, and files, by the commands alone."""

import json
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from tests.fixtures.broker import PATIENCE_S, wait_until
from tests.gateway.test_lorawan import CHIRPSTACK, TTS

VALUES = (
    "select d.code, s.property, o.value, o.marks from observation o join datastream s "
    "using (datastream_id) join device d using (device_id) order by d.code, s.property, "
    "o.phenomenon_time"
)


def query(system, sql):
    with psycopg.connect(system.dsn()) as connection:
        return connection.execute(sql).fetchall()


def wait_for(system, sql, expected):
    wait_until(
        lambda: query(system, sql) == expected,
        message=lambda: f"{query(system, sql)}\n{system.logs()}",
    )


def run(system, *words, code=0):
    done = system.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def secret_of(said):
    [line] = [line for line in said.splitlines() if line.startswith("Secret")]
    return line.split()[1]


def send(system, user, secret, *payloads):
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, secret)
    client.connect("127.0.0.1", system.mqtt_port)
    client.loop_start()
    for payload in payloads:
        sent = client.publish(f"mz/v1/{user.replace('/', '/d/')}/up", payload, qos=1)
        sent.wait_for_publish(PATIENCE_S)
        assert sent.is_published()
    client.disconnect()
    client.loop_stop()


def test_foreign_devices_replays_and_imports_by_the_commands_alone(system, tmp_path):
    run(system, "tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe")
    add = ("device", "add", "kawabe")
    stage = ("--kind", "flood_level", "--datastream", "stage_m:m")
    secret = secret_of(run(system, *add, "canal-1", *stage, "--codec", "chirpstack"))
    now = datetime.now(UTC).replace(microsecond=0)
    uplink = json.dumps(CHIRPSTACK | {"time": now.isoformat()})
    undated = json.loads(json.dumps(TTS))
    del undated["received_at"]
    send(system, "kawabe/canal-1", secret, uplink, b"\xff broken")
    wait_for(system, "select count(*)::int from quarantine", [(2,)])
    listed = run(system, "quarantine", "list", "kawabe", "--device", "canal-1")
    assert "name the device's model" in listed
    assert listed.count("bad_payload") == 2
    assert "2 wait in all" in listed

    # What is wrong cannot be replayed; after the fix it can, once.
    said = run(system, "quarantine", "replay", "kawabe")
    assert "0 replayed" in said
    assert said.count("still refused: bad_payload") == 2
    run(system, "device", "codec", "kawabe", "canal-1", "--codec", "chirpstack",
        "--model", "milesight/em500-swl", "--map", "water_level=stage_m*0.01")  # fmt: skip
    assert "water_level -> stage_m * 0.01" in run(system, "device", "show", "kawabe", "canal-1")
    assert "1 could be replayed" in run(system, "quarantine", "replay", "kawabe", "--dry-run")
    assert query(system, VALUES) == []
    said = run(system, "quarantine", "replay", "kawabe")
    assert "1 replayed" in said
    assert "1 still refused: bad_payload" in said
    wait_for(system, VALUES, [("canal-1", "stage_m", 0.02, 0)])
    assert "0 replayed" in run(system, "quarantine", "replay", "kawabe")

    # A message without any time gets that of its first reception.
    secret = secret_of(run(system, *add, "canal-2", *stage, "--codec", "tts"))
    send(system, "kawabe/canal-2", secret, json.dumps(undated))
    wait_for(system, "select count(*)::int from quarantine where device_code = 'canal-2'", [(1,)])
    run(system, "device", "codec", "kawabe", "canal-2", "--codec", "tts",
        "--model", "milesight/em500-swl", "--map", "water_level=stage_m*0.01")  # fmt: skip
    assert "1 replayed" in run(system, "quarantine", "replay", "kawabe", "--device", "canal-2")
    wait_for(
        system,
        "select o.phenomenon_time = q.received_time from observation o join datastream using "
        "(datastream_id) join device d using (device_id) join quarantine q on q.device_code = "
        "d.code where d.code = 'canal-2'", [(True,)],
    )  # fmt: skip

    # A file, through the same door, twice.
    file = tmp_path / "canal.csv"
    times = [now - timedelta(minutes=10 * step) for step in range(1, 451)]
    lines = [f"{at.isoformat()},0.0{step % 9}" for step, at in enumerate(reversed(times))]
    lines.insert(3, "never,1")
    lines.append(f"{now.isoformat()},0.02")  # stored already
    file.write_text("time,stage_m\n" + "\n".join(lines) + "\n")
    arguments = ("import", str(file), "--town", "kawabe", "--device", "canal-1")
    said = run(system, *arguments, "--dry-run")
    assert "450 of 452 readings could be imported" in said
    assert "1 skipped: stored already (line 453)" in said
    assert "1 skipped: the time 'never' is not like" in said
    assert "(line 5)" in said
    count = "select count(*)::int from observation join datastream using (datastream_id) join device using (device_id) where code = 'canal-1'"  # noqa: E501 - one statement
    assert query(system, count) == [(1,)]
    assert "450 of 452 readings were imported" in run(system, *arguments)
    wait_for(system, count, [(451,)])
    again = run(system, *arguments)
    assert "0 of 452 readings were imported" in again
    assert "451 skipped: stored already (line 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, …)" in again
    assert query(system, "select count(*)::int from conflict") == [(0,)]

    track = tmp_path / "plow.gpx"
    points = "".join(
        f'<trkpt lat="38.{step}" lon="140.3"><time>{at.isoformat()}</time></trkpt>'
        for step, at in enumerate(times[:20], 10)
    )
    # The logger wrote one point twice, and then another place for the time of one.
    twice, moved = points.split("</trkpt>")[:2]
    points += f"{twice}</trkpt>{moved.replace('140.3', '140.31')}</trkpt>"
    track.write_text(f"<gpx><trk><trkseg>{points}<trkpt lat='1' lon='2'/></trkseg></trk></gpx>")
    said = run(system, "import", str(track), "-t", "kawabe", "-d", "canal-1", code=1)
    assert "22 skipped: a position, but canal-1 is no plow" in said
    run(system, *add, "plow-1", "--kind", "plow")
    arguments = ("import", str(track), "-t", "kawabe", "-d", "plow-1")
    beside = "1 kept beside another value of the same time, of which one stands (point "
    said = run(system, *arguments)
    assert "20 of 23 readings were imported" in said
    assert f"{beside}22)" in said
    assert "1 skipped: the same stands earlier in the file (point 21)" in said
    wait_for(system, "select count(*)::int from position", [(20,)])
    wait_for(system, "select count(*) > 0 from position_conflict", [(True,)])
    said = run(system, *arguments)
    assert "0 of 23 readings were imported" in said
    assert beside in said
    assert "20 skipped: stored already" in said
    assert "neither .csv" in run(system, "import", str(system.config), "-t", "kawabe", code=1)
