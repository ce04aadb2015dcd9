"""The embedded database: taking over, refusing, recovering, and where it lies."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from deploy.embedded.account import database_account
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.postgres_cluster import Cluster
from deploy.embedded.postgres_home import SHARED_STATE, place_database
from deploy.embedded.process import start_ticks
from tests.fixtures.ports import free_port

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def server(tmp_path):
    """An embedded PostgreSQL where its account can reach it; removed afterwards."""
    cluster = place_database(tmp_path, None, "")
    server = EmbeddedPostgres(cluster, free_port(), "secret", tmp_path / "postgres.log")
    server.initdb()
    yield server
    server.stop()
    shutil.rmtree(cluster.home, ignore_errors=True)


def twin(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """Give what a new supervisor would make; the old one is taken for dead."""
    server.cluster.release()
    return EmbeddedPostgres(
        Cluster(server.cluster.home, server.cluster.account),
        server.port,
        server.password,
        server.log_file,
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
    pid_file = server.cluster.folder / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    as_owner = {}
    if account := server.cluster.account:
        as_owner = {"user": account.uid, "group": account.gid, "extra_groups": []}
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **as_owner) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        server.start()
        assert server.pid != stranger.pid
        assert server.health() == ""
        assert stranger.poll() is None
        stranger.terminate()


def test_an_interrupted_initdb_is_begun_anew(tmp_path):
    cluster = place_database(tmp_path, None, "")
    server = EmbeddedPostgres(cluster, free_port(), "secret", tmp_path / "log")
    server.initdb()
    (cluster.home / "initdb-unfinished").touch()  # as if killed before the end
    shutil.rmtree(cluster.folder / "global")
    server.initdb()
    server.start()
    assert server.health() == ""
    server.stop()
    shutil.rmtree(cluster.home, ignore_errors=True)


def test_data_of_another_version_is_refused_in_words(server):
    server.stop()
    (server.cluster.folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, but 18"):
        server.initdb()


def test_two_supervisors_on_one_database_are_refused(server):
    cluster = Cluster(server.cluster.home, server.cluster.account)
    other = EmbeddedPostgres(cluster, server.port, "secret", server.log_file)
    with pytest.raises(EmbeddedError, match=f"process {os.getpid()}"):
        other.start()


def test_nothing_is_left_of_a_killed_servers_children(server):
    server.start()
    pid = server.pid
    server.kill()
    server.start()
    assert server.pid != pid


@AS_ROOT
def test_below_a_closed_folder_the_database_of_root_lies_elsewhere(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    cluster = place_database(closed, None, "")
    assert cluster.home.parent == SHARED_STATE
    assert cluster.account.uid != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700  # never changed
    assert place_database(closed, cluster.home, "").home == cluster.home


@AS_ROOT
def test_in_an_open_folder_the_database_of_root_lies_with_the_data():
    folder = Path(f"/var/tmp/mizumori-open-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        assert place_database(folder, None, "").home == folder / "postgres"
    finally:
        folder.rmdir()


@AS_ROOT
def test_root_as_the_databases_account_is_refused():
    with pytest.raises(EmbeddedError, match="root"):
        database_account("root")
    with pytest.raises(EmbeddedError, match="no account nobody-of-that-name"):
        database_account("nobody-of-that-name")


@AS_ROOT
def test_a_disk_that_fills_while_the_database_is_made_is_a_sentence(small_disk, tmp_path):
    cluster = place_database(small_disk, None, "")
    server = EmbeddedPostgres(cluster, free_port(), "secret", tmp_path / "log")
    with pytest.raises(EmbeddedError, match="make room on the disk"):
        server.initdb()
    server.stop()
