"""Broker, database, gateway and API as processes of their own, for measuring them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

from deploy.broker.settings import NatsSettings
from deploy.embedded.account import database_account
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.postgres_cluster import Cluster
from gateway.session import Session
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import intake_sessions
from store import broker_accounts, device_catalog, retention, rules, site_catalog, town_catalog
from store.device_catalog import NewDevice
from store.site_catalog import NewSite
from store.town_catalog import NewTenant
from tests.bench import publisher
from tests.bench.mqtt_wire import Login
from tests.bench.publisher import Load
from tests.fixtures.broker import TOWN, NatsServer, wait_until
from tests.fixtures.database import PASSWORD, migrated
from tests.fixtures.ports import free_port

DEVICES = 1000
_PRODUCT = NatsSettings.model_fields
LISTENING = "select count(*) > 0 and bool_and(listening_since is not null) from intake"


class Rig:
    """A town of `DEVICES` street sensors, its broker and its database.

    Parameters
    ----------
    folder
        Of its own.
    sync
        The broker's mode: `fast` or `always`.
    superuser
        Connection string of a database server; empty: the embedded one, which syncs to disk as
        the product's does.
    gateways
        Processes that share the partitions.
    """

    def __init__(self, folder: Path, sync: str, superuser: str, gateways: int) -> None:
        self.folder = folder
        self.server: EmbeddedPostgres | None = None
        if not superuser:
            self.server = EmbeddedPostgres(
                cluster=Cluster(folder / "postgres", database_account("")),
                port=free_port(),
                password=PASSWORD,
                log_file=folder / "postgres.log",
            )
            self.server.initdb()
            self.server.start()
            superuser = self.server.dsn
        self.superuser = superuser
        self._name = f"mizumori_bench_{os.getpid()}_{time.monotonic_ns()}"
        self.dsn = migrated(self.superuser, self._name)
        product = {
            name: _PRODUCT[name].default
            for name in ("window_messages", "ack_wait_s", "queue_bytes", "partitions")
        }
        self.broker = NatsServer(
            folder, sync=sync, **{k: v for k, v in product.items() if k != "partitions"}
        )
        self.account = self.broker.add_town(TOWN, **product)
        self.broker.start()
        with psycopg.connect(self.dsn.owner) as conn:
            self._fill(conn)
            conn.execute("analyze")  # as the database does by itself within a minute
            database = psutil.Process(conn.info.backend_pid).parent()
            assert database is not None, "the database must run on this machine"
            self._postmaster = database.pid
        self._wanted = gateways
        self.gateways: list[subprocess.Popen[bytes]] = []

    def _fill(self, conn: psycopg.Connection) -> None:
        tenant = town_catalog.add_tenant(
            conn, NewTenant(code=TOWN, name_ja="川辺町", name_en="Kawabe")
        )
        site_catalog.add_site(
            conn,
            tenant.tenant_id,
            NewSite(
                code="honmachi",
                kind="street",
                name_ja="本町",
                name_en="Honmachi",
                close_at_m=0.1,
                crew_minutes=15,
            ),
        )
        devices = [
            NewDevice(f"bench-{i:04}", "flood_level", "冠水計", "Flood", 60, site="honmachi")
            for i in range(DEVICES)
        ]
        device_catalog.add_devices(conn, tenant.tenant_id, devices)
        rules.add_defaults(conn, tenant.tenant_id)
        assert self.account.tenant_id == tenant.tenant_id
        broker_accounts.add_account(conn, self.account)
        retention.make_partitions(conn)

    # --- the product's processes ----------------------------------------------------------------

    def settings(self, **sections: dict[str, Any]) -> dict[str, str]:
        """Return the environment that tells a service where everything is."""
        address = conninfo_to_dict(self.dsn.owner)
        where = f"postgresql://{address['host']}:{address['port']}/{address['dbname']}"
        known: dict[str, dict[str, Any]] = {
            "database": {
                "dsn": where,
                **{f"{role}_password": PASSWORD for role in ("owner", "gateway", "jobs", "api")},
            },
            "broker": {"host": self.broker.host, "port": self.broker.mqtt_port},
            "embedded": {"data_dir": str(self.folder / "var")},
        }
        for section, values in sections.items():
            known.setdefault(section, {}).update(values)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MIZUMORI_")}
        return clean | {
            f"MIZUMORI_{section.upper()}__{name.upper()}": str(value)
            for section, values in known.items()
            for name, value in values.items()
        }

    def start_gateway(self) -> None:
        """Start `mizumori gateway`; returns when every partition is read."""
        with (self.folder / "gateway.log").open("ab") as output:
            self.gateways = [
                self._start("gateway", "--name", f"bench-{n}", output=output)
                for n in range(self._wanted)
            ]
        with psycopg.connect(self.dsn.owner, autocommit=True) as conn:
            wait_until(lambda: _one(conn, LISTENING), 60, "the gateway did not connect")

    def stop_gateway(self) -> None:
        """Stop it in order."""
        for gateway in self.gateways:
            gateway.terminate()
        for gateway in self.gateways:
            assert gateway.wait(60) == 0
        self.gateways = []

    def _start(self, *words: str, output: Any, **sections: dict[str, Any]) -> Any:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "deploy.cli", *words],
            stdout=output, stderr=subprocess.STDOUT, env=self.settings(**sections),
        )  # fmt: skip

    @contextmanager
    def api(self) -> Iterator[int]:
        """Serve the API; yields its port."""
        port = free_port()
        with (self.folder / "api.log").open("ab") as output:
            process = self._start("api", output=output, api={"port": port})
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), 30, "no API")
            yield port
        finally:
            process.terminate()
            process.wait(30)

    # --- what is asked of it --------------------------------------------------------------------

    def stored(self) -> int:
        """Count the stored readings."""
        with psycopg.connect(self.dsn.owner) as conn:
            return int(_one(conn, "select count(*) from observation"))

    def processor_s(self) -> dict[str, float]:
        """Return the processor time that each part has had."""
        pids = {"broker": self.broker.pid, "database": self._postmaster}
        used = {name: _processor_s(pid) for name, pid in pids.items()}
        if self.gateways:
            used["gateway"] = sum(_processor_s(gateway.pid) for gateway in self.gateways)
        return used

    def memory_mb(self) -> float:
        """Return the gateway's resident memory."""
        used = [psutil.Process(gateway.pid).memory_info().rss for gateway in self.gateways]
        return float(sum(used)) / 1e6

    def login(self, client_id: str) -> Login:
        """Return how to connect as the town's gateway account, which may publish for anybody."""
        return Login(
            self.broker.host,
            self.broker.mqtt_port,
            self.account.gateway_user,
            self.account.gateway_password,
            client_id,
        )

    def sessions(self) -> list[Session]:
        """Return what the gateway's intakes connect to."""
        broker = BrokerSettings(host=self.broker.host, port=self.broker.mqtt_port)
        return list(intake_sessions(self.account, broker, GatewaySettings()))

    @contextmanager
    def publishing(self, load: Load) -> Iterator["Publishing"]:
        """Prepare a publisher in a process of its own."""
        words, line = publisher.command(self.login(f"load-{time.monotonic_ns()}"), load)
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == b"ready\n", "the publisher did not start"
            yield Publishing(process)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Stop the embedded database; of another server, let nobody into ours."""
        if self.server is not None:
            self.server.stop()
            yield
            self.server.start()
            return
        with psycopg.connect(self.superuser, autocommit=True) as conn:
            conn.execute(f"alter database {self._name} allow_connections false".encode())
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                (self._name,),
            )
            yield
            conn.execute(f"alter database {self._name} allow_connections true".encode())

    def start_ms(self) -> int:
        """Return a time for the first reading of a load: each load's are later than the last's.

        Not long ago, so that they go into the month's partition as a town's do.
        """
        with psycopg.connect(self.dsn.owner) as conn:
            newest = _one(conn, "select max(phenomenon_time) from observation")
        if newest is None:
            return (int(time.time()) - 6 * 3600) * 1000
        return round(newest.timestamp()) * 1000 + 1000

    def close(self) -> None:
        """Stop everything and drop the database."""
        for gateway in self.gateways:
            gateway.kill()
            gateway.wait()
        self.broker.stop()
        if self.server is not None:
            self.server.stop()
        else:
            with psycopg.connect(self.superuser, autocommit=True) as conn:
                conn.execute(f"drop database if exists {self._name} with (force)".encode())


class Publishing:
    """A publisher that is ready."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def go(self) -> None:
        """Let it publish."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def wait(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged."""
        code = self._process.wait(timeout_s)
        if code:
            raise RuntimeError(f"the publisher ended with {code}; see above")

    @property
    def done(self) -> bool:
        """Whether everything is acknowledged."""
        return self._process.poll() is not None


@contextmanager
def running(sync: str, superuser: str = "", gateways: int = 1) -> Iterator[Rig]:
    """Run a rig in a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mizumori-bench-"))
    folder.chmod(0o711)  # the account that runs the database passes through
    rig: Rig | None = None
    try:
        rig = Rig(folder, sync, superuser, gateways)
        yield rig
    except BaseException:
        for log in folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        raise
    finally:
        if rig is not None:
            rig.close()
        shutil.rmtree(folder, ignore_errors=True)


def _one(conn: psycopg.Connection, statement: str) -> Any:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def _processor_s(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return float(total)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(json.load(answer))
    except OSError:
        return False
