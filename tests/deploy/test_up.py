"""`mizumori up`, started, used, stopped and killed through its own command."""

import json
import os
import re
import shlex
import signal
import subprocess
import sysconfig
from pathlib import Path

import psycopg
import pytest

from deploy.embedded.process import start_ticks
from tests.fixtures.broker import wait_until
from tests.fixtures.system import MIZUMORI, System, run_mosquitto_pub

ROOT = Path(__file__).parents[2]
TOWN = ("tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe")
# Two starts of everything and what is waited for in between, on a busy machine.
pytestmark = pytest.mark.timeout(600)
# 10 s on a machine of its own; the suite shares its two cores with everything else.
DEVICE = ("device", "add", "kawabe", "river-01", "--kind", "flood_level")


def readings(system: System) -> list[float]:
    with psycopg.connect(system.dsn()) as connection:
        rows = connection.execute("select value from observation order by phenomenon_time")
        return [value for (value,) in rows]


def add_first_device(system: System) -> list[str]:
    """Add a town and a device; return the ready mosquitto_pub line, as words."""
    done = system.run(*TOWN)
    assert done.returncode == 0, done.stderr
    done = system.run(*DEVICE)
    assert done.returncode == 0, done.stderr + system.logs()
    [line] = [line for line in done.stdout.splitlines() if line.startswith("mosquitto_pub")]
    return shlex.split(line)


def publish(line: list[str], value: float) -> None:
    words = [*line[:-1], json.dumps({"m": {"depth_m": value}})]
    run_mosquitto_pub(words)


def test_a_first_device_by_the_commands_alone(system):
    line = add_first_device(system)
    publish(line, 0.07)
    wait_until(lambda: readings(system) == [0.07], message=system.logs)
    assert "kawabe/river-01" in system.run("device", "list").stdout
    shown = system.run("device", "show", "kawabe", "river-01").stdout
    assert "depth_m (m)" in shown
    assert line[line.index("-P") + 1] not in shown  # the secret was shown once
    assert "川辺町" in system.run("tenant", "list").stdout


def test_doctor_finds_a_well_system_well(system):
    done = system.run("doctor")
    assert done.returncode == 0, done.stdout + system.logs()
    assert "FAIL" not in done.stdout
    assert re.search(r"ok .*kawabe: a test message on every partition has arrived", done.stdout)


def test_a_device_twice_or_in_no_town_is_refused_in_words(system):
    for arguments, words in (
        (DEVICE, "river-01"),
        (("device", "add", "nowhere", "x", "--kind", "plow"), "known: kawabe"),
        (("device", "show", "kawabe", "nobody"), "no device nobody"),
        (("tenant", "add", "Not A Code", "--name-ja", "x", "--name-en", "x"), "code"),
    ):
        done = system.run(*arguments)
        assert done.returncode == 1, arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


def test_a_second_start_on_the_same_data_is_refused(system):
    done = system.run("up")
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert system.url in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_sentence_before_anything_is_made(system, tmp_path):
    http, mqtt = system.http_port, system.mqtt_port
    for text, port, setting, part in (
        ("[api]\nport = {http}\n[nats]\nmqtt_port = {free}\n", http, "api.port", "api"),
        ("[api]\nport = {free}\n[nats]\nmqtt_port = {mqtt}\n", mqtt, "nats.mqtt_port", "broker"),
    ):
        other = System(tmp_path)
        other.config.write_text(
            text.format(http=http, mqtt=mqtt, free=other.http_port), encoding="utf-8"
        )
        done = other.run("up")
        assert done.returncode == 1
        [line] = done.stderr.strip().splitlines()
        assert f"Port {port} on " in line
        assert f"({setting}) is taken by " in line
        assert f"(process {system.pid(part)}): stop that program" in line
        assert f"MIZUMORI_{setting.upper().replace('.', '__')}=" in line
        assert "database" not in done.stdout
        assert not other.parts()
        other.close()


def test_a_folder_that_cannot_be_made_is_one_sentence():
    done = subprocess.run(
        [*MIZUMORI, "up"], capture_output=True, text=True, check=False,
        env={**os.environ, "MIZUMORI_EMBEDDED__DATA_DIR": "/proc/mizumori"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "/proc/mizumori" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_stop_leaves_no_process_and_a_second_start_goes_on_with_the_data(new_system):
    new_system.start()
    line = add_first_device(new_system)
    publish(line, 0.01)
    wait_until(lambda: readings(new_system) == [0.01])
    parts = new_system.parts()
    assert set(parts) == {"database", "broker", "gateway", "jobs", "api"}
    assert new_system.stop(signal.SIGTERM) == 0
    assert {name: start_ticks(pid) for name, pid in parts.items()} == dict.fromkeys(parts)
    new_system.start()
    publish(line, 0.02)
    wait_until(lambda: readings(new_system) == [0.01, 0.02], message=new_system.logs)


def test_after_a_kill_of_the_supervisor_services_end_and_the_next_start_adopts(new_system):
    new_system.start()
    line = add_first_device(new_system)
    before = new_system.parts()
    new_system.kill("supervisor")
    ours = ("gateway", "jobs", "api")
    wait_until(lambda: all(start_ticks(before[name]) is None for name in ours))
    publish(line, 0.03)  # the broker has outlived it and keeps the reading
    new_system.start()
    after = new_system.parts()
    assert after["database"] == before["database"]
    assert after["broker"] == before["broker"]
    wait_until(lambda: readings(new_system) == [0.03], message=new_system.logs)
    assert new_system.stop() == 0
    assert all(start_ticks(pid) is None for pid in {*before.values(), *after.values()})


def test_a_start_right_after_a_kill_of_the_supervisor_waits_for_what_it_left(new_system):
    new_system.start()
    before = new_system.parts()
    new_system.kill("supervisor")
    new_system.start()
    after = new_system.parts()
    for name in ("gateway", "jobs", "api"):
        assert after[name] != before[name]
        assert start_ticks(before[name]) is None


@pytest.mark.parametrize("part", ["gateway", "api", "broker", "database"])
def test_a_part_that_is_killed_runs_again_and_no_reading_is_lost(new_system, part):
    new_system.start()
    line = add_first_device(new_system)
    publish(line, 0.04)
    killed = new_system.kill(part)
    wait_until(
        lambda: new_system.parts().get(part, killed) != killed,
        message=lambda: new_system.said() + new_system.logs(),
    )

    def taken() -> bool:
        words = [*line[:-1], json.dumps({"m": {"depth_m": 0.05}})]
        try:
            done = subprocess.run(words, check=False, timeout=30, capture_output=True)
        except subprocess.TimeoutExpired:  # it got through to a broker that then went
            return False
        return done.returncode == 0

    wait_until(taken, message=new_system.logs)
    wait_until(lambda: _answers(new_system) and {0.04, 0.05} <= set(readings(new_system)))
    wait_until(lambda: "runs again" in new_system.said(), message=new_system.said)


def _answers(system: System) -> bool:
    try:
        psycopg.connect(system.dsn(), connect_timeout=30).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_runs_in_a_long_path_with_blanks_and_japanese_and_without_a_home(tmp_path):
    folder = tmp_path / "水守 の データ" / ("x" * 80) / ("y" * 80)
    folder.mkdir(parents=True)
    system = System(folder)
    system.environment = {"PATH": "/usr/bin:/bin", "LANG": "ja_JP.eucJP", "LC_ALL": "xx_YY.UTF-8"}
    try:
        system.start()
        assert system.stop() == 0
    finally:
        system.close()


def test_a_checkout_below_a_japanese_folder_starts_in_any_locale():
    packages = Path(sysconfig.get_path("purelib"))
    [link] = packages.glob("_editable_impl_mizumori.pth")
    said = link.read_text(encoding="ascii").strip()
    assert not Path(said).is_absolute()
    assert (packages / said).resolve() == ROOT


# Root's checkout, or root's Python, may lie where others may not go: they may look, not write.
AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_an_ordinary_user_and_refuses_roots_data():
    nobody = 65534
    folder = Path(f"/var/tmp/mizumori-test-{os.getpid()}")
    folder.mkdir()
    os.chown(folder, nobody, nobody)
    system = System(folder)
    try:
        command = [*AS_NOBODY, *MIZUMORI, "up", "--config", str(system.config)]
        run = {"cwd": folder, "env": system.environment}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **run) as process:
            said = ""
            while "is running" not in said and (line := process.stdout.readline()):
                said += line
            assert "is running" in said
            assert (system.data_dir / "embedded.toml").stat().st_uid == nobody
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
        os.chown(system.data_dir, 0, 0)
        done = subprocess.run(command, capture_output=True, text=True, check=False, **run)
        assert done.returncode == 1
        assert "is not writable by this account" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    finally:
        system.close()
        subprocess.run(["rm", "-rf", folder], check=True)
