"""The embedded database and broker: taking over, refusing, recovering."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import remembered
from deploy.embedded.account import database_account
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.nats import EmbeddedNats
from deploy.embedded.ports import is_free
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.postgres_home import SHARED_STATE, place_database
from deploy.embedded.process import Process, start_ticks
from tests.fixtures.ports import free_port

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def server(tmp_path):
    """An embedded PostgreSQL where its account can reach it; removed afterwards."""
    home, account = place_database(tmp_path, None, "")
    server = EmbeddedPostgres(home, free_port(), "secret", tmp_path / "postgres.log", account)
    server.initdb()
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


def twin(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """Give what a new supervisor would make; the old one is taken for dead."""
    if server._lock is not None:
        server._lock.release()
        server._lock = None
    return EmbeddedPostgres(
        server.home, server.port, server.password, server.log_file, server.account
    )


def test_the_database_listens_on_this_machine_alone_and_wants_a_password(server):
    server.start()
    assert server.health() == ""
    with psycopg.connect(server.dsn) as connection:
        show = {
            name: connection.execute(f"show {name}").fetchone()[0]
            for name in ("listen_addresses", "unix_socket_directories", "server_encoding")
        }
        locale = connection.execute(
            "select datlocprovider, datlocale from pg_database where datname = 'postgres'"
        ).fetchone()
    assert show == {
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
    }  # fmt: skip
    assert locale == ("b", "C.UTF-8")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn.replace("secret", "guess"))


def test_a_running_server_is_adopted_and_stopped_by_a_successor(server):
    server.start()
    pid = server.pid
    successor = twin(server)
    successor.start()
    assert successor.pid == pid
    successor.stop()
    assert start_ticks(pid) is None


def test_a_killed_server_recovers(server):
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 1 as it")
    server.kill()
    assert "does not run" in server.health()
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("select it from kept").fetchone() == (1,)


def test_a_pid_file_that_names_somebody_elses_process_is_not_believed(server):
    server.start()
    lines = (server.cluster / "postmaster.pid").read_text().splitlines()
    server.stop()
    as_owner = {}
    if server.account:
        as_owner = {"user": server.account.uid, "group": server.account.gid, "extra_groups": []}
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **as_owner) as stranger:
        (server.cluster / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]))
        server.start()
        assert server.pid != stranger.pid
        assert server.health() == ""
        assert stranger.poll() is None
        stranger.terminate()


def test_an_interrupted_initdb_is_begun_anew(tmp_path):
    home, account = place_database(tmp_path, None, "")
    server = EmbeddedPostgres(home, free_port(), "secret", tmp_path / "log", account)
    server.initdb()
    (server.home / "initdb-unfinished").touch()  # as if killed before the end
    shutil.rmtree(server.cluster / "global")
    server.initdb()
    server.start()
    assert server.health() == ""
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


def test_data_of_another_version_is_refused_in_words(server):
    server.stop()
    (server.cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, but 18"):
        server.initdb()


def test_two_supervisors_on_one_database_are_refused(server):
    other = EmbeddedPostgres(server.home, server.port, "secret", server.log_file, server.account)
    with pytest.raises(EmbeddedError, match=f"process {os.getpid()}"):
        other.start()


@AS_ROOT
def test_below_a_closed_folder_the_database_of_root_lies_elsewhere(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home, account = place_database(closed, None, "")
    assert home.parent == SHARED_STATE
    assert account.uid != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700  # never changed
    assert place_database(closed, home, "")[0] == home


@AS_ROOT
def test_in_an_open_folder_the_database_of_root_lies_with_the_data():
    folder = Path(f"/var/tmp/mizumori-open-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        assert place_database(folder, None, "")[0] == folder / "postgres"
    finally:
        folder.rmdir()


@AS_ROOT
def test_root_as_the_databases_account_is_refused():
    with pytest.raises(EmbeddedError, match="root"):
        database_account("root")
    with pytest.raises(EmbeddedError, match="no account nobody-of-that-name"):
        database_account("nobody-of-that-name")


@pytest.fixture
def broker(tmp_path):
    home = tmp_path / "bro ker"
    home.mkdir()
    client, mqtt, monitor = free_port(), free_port(), free_port()
    config = home / "nats.conf"
    config.write_text(
        f'server_name: test\nlisten: "127.0.0.1:{client}"\nhttp: "127.0.0.1:{monitor}"\n'
        f'jetstream {{ store_dir: "{home}/store" }}\nmqtt {{ listen: "127.0.0.1:{mqtt}" }}\n'
    )
    ports = (("127.0.0.1", mqtt), ("127.0.0.1", client), ("127.0.0.1", monitor))
    broker = EmbeddedNats(home, config, monitor, home / "log", ports)
    yield broker
    broker.stop()


def successor_of(broker: EmbeddedNats) -> EmbeddedNats:
    broker._lock.release()
    broker._lock = None
    return EmbeddedNats(
        broker.home, broker.config_file, broker.monitor_port, broker.log_file, broker.ports
    )


def test_a_second_broker_on_the_same_store_is_refused(broker):
    broker.start()
    assert broker.health() == ""
    other = EmbeddedNats(broker.home, broker.config_file, broker.monitor_port, broker.log_file)
    with pytest.raises(EmbeddedError, match="used by another"):
        other.start()


def test_a_running_broker_is_adopted_and_stopped_by_a_successor(broker):
    broker.start()
    pid = broker.pid
    successor = successor_of(broker)
    successor.start()
    assert successor.pid == pid
    successor.stop()
    assert start_ticks(pid) is None
    assert all(is_free(*port) for port in broker.ports)


def test_a_broker_that_listens_elsewhere_is_stopped_not_adopted(broker):
    broker.start()
    pid = broker.pid
    successor = successor_of(broker)
    moved = free_port()
    old = broker.ports[0][1]
    text = broker.config_file.read_text().replace(f":{old}", f":{moved}")
    broker.config_file.write_text(text)
    successor.ports = (("127.0.0.1", moved), *broker.ports[1:])
    successor.start()
    assert successor.pid != pid
    assert start_ticks(pid) is None
    assert is_free("127.0.0.1", old)
    successor.stop()


def test_a_broken_configuration_is_a_sentence_with_the_reason(broker):
    broker.config_file.write_text("mqtt { listen: nowhere }")
    with pytest.raises(EmbeddedError, match="did not start"):
        broker.start()


def test_a_process_is_more_than_its_number(tmp_path):
    process = Process.spawn(["/bin/sleep", "60"], log_file=tmp_path / "log")
    process.write(tmp_path / "pid")
    assert Process.read(tmp_path / "pid").pid == process.pid
    assert Process.find(process.pid, process.ticks + 1) is None
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    process.send(signal.SIGTERM)
    assert process.wait(5)
    assert process.exit_code == -signal.SIGTERM
    assert Process.read(tmp_path / "pid") is None
    process.send(signal.SIGTERM)  # nobody is hurt


def test_a_lock_ends_with_its_holder_also_when_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from deploy.embedded.lock import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]))\n"
        "lock.describe('the holder'); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(FolderLockedError) as caught:
            FolderLock(tmp_path)
        assert caught.value.holder == "the holder"
        holder.kill()
    FolderLock(tmp_path).release()


def test_what_is_remembered_comes_back_and_is_ours_alone(tmp_path):
    path = tmp_path / "embedded.toml"
    assert remembered.read(path) == {}
    sections = {"nats": {"client_port": 1, "store_dir": '/a "b"/水\\x'}}
    remembered.write(path, sections)
    assert remembered.read(path) == sections
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("[nats")
    with pytest.raises(EmbeddedError, match="cannot be read"):
        remembered.read(path)


def test_nothing_is_left_of_a_killed_servers_children(server):
    server.start()
    pid = server.pid
    server.kill()
    began = time.monotonic()
    server.start()
    assert server.pid != pid
    assert time.monotonic() - began < 30


@pytest.fixture
def small_disk():
    """A folder on a disk of 20 MB, which other accounts can reach."""
    place = Path(f"/var/tmp/mizumori-full-{os.getpid()}")
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=777", "tmpfs", str(place)]
    try:
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("this container may not mount")
        yield place
        subprocess.run(["umount", str(place)], check=True)
    finally:
        place.rmdir()


@AS_ROOT
def test_a_full_disk_is_a_sentence_before_anything_is_made(small_disk):
    with pytest.raises(EmbeddedError, match="MB left and Mizumori needs 300 MB"):
        DataDir(small_disk / "var").prepare()


def test_a_disk_that_takes_no_writing_is_said_with_its_reason_once(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EmbeddedError, match=r"cannot be made \(Read-only file system\): mount"):
        DataDir(tmp_path / "var").prepare()


@AS_ROOT
def test_a_disk_that_fills_while_the_database_is_made_is_a_sentence(small_disk, tmp_path):
    home, account = place_database(small_disk, None, "")
    server = EmbeddedPostgres(home, free_port(), "secret", tmp_path / "log", account)
    with pytest.raises(EmbeddedError, match="make room on the disk"):
        server.initdb()
    server.stop()
