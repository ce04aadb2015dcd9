"""Put the embedded services together from the settings and what is remembered of them."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import remembered
from deploy.embedded.data_dir import DataDir
from deploy.embedded.database import NAME as DATABASE_NAME
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.nats import PID_FILE, EmbeddedNats
from deploy.embedded.ports import Port, dialled, free_port, is_free
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.postgres_home import place_database
from deploy.embedded.process import Process
from deploy.settings import Settings, SettingsError

PASSWORD_BYTES = 16
CONFIG_FILE = "nats.conf"


@dataclass
class Embedded:
    """The services that this `mizumori up` runs itself; None: the settings name another one."""

    postgres: EmbeddedPostgres | None
    nats: EmbeddedNats | None
    sections: dict[str, dict[str, str | int]]

    def wanted_ports(self) -> list[Port]:
        """Return where they will listen; one that still runs is taken over with its ports."""
        wanted: list[Port] = []
        if self.postgres is not None and not self.postgres.is_running():
            wanted.append(self.postgres.place)
        if self.nats is not None and not self.nats.is_running():
            wanted += self.nats.ports
        return wanted

    def remember(self, path: Path) -> None:
        """Write what a command in another terminal, and the next start, must know."""
        remembered.write(path, self.sections)


def compose_embedded(said: Settings, data: DataDir) -> Embedded:
    """Choose ports, passwords and places, those of the last time where there was one.

    Parameters
    ----------
    said
        What the person has set, without what is remembered.
    data
        Prepared.

    Raises
    ------
    SettingsError, EmbeddedError
        The settings contradict each other, or the data belongs to another account.
    """
    known = remembered.read(data.root / remembered.FILE_NAME)
    sections: dict[str, dict[str, str | int]] = {}
    postgres = None if said.database.dsn else _compose_postgres(said, data, known, sections)
    nats = None if said.broker.host else _compose_nats(said, data, known, sections)
    return Embedded(postgres, nats, sections)


def _compose_postgres(
    said: Settings,
    data: DataDir,
    known: dict[str, dict[str, str | int]],
    sections: dict[str, dict[str, str | int]],
) -> EmbeddedPostgres:
    embedded, database = known.get("embedded", {}), known.get("database", {})
    place = said.embedded.postgres_dir or embedded.get("postgres_dir")
    cluster = place_database(data.root, Path(str(place)) if place else None, said.embedded.account)
    password = embedded.get("postgres_password")
    if password is None and cluster.folder.exists():
        raise EmbeddedError(
            f"{data.root}/{remembered.FILE_NAME} is missing, which holds the passwords of the "
            f"database in {cluster.home}: restore it from a backup, or set embedded.data_dir to an "
            "empty folder to begin anew."
        )
    password = password or secrets.token_hex(PASSWORD_BYTES)
    known_port = int(embedded.get("postgres_port", 0))
    server = EmbeddedPostgres(cluster, known_port, str(password), data.log / "postgres.log")
    if said.embedded.postgres_port:
        server.port = said.embedded.postgres_port
    elif not known_port or not (server.is_running() or is_free("127.0.0.1", known_port)):
        server.port = free_port()
    sections["embedded"] = {"postgres_port": server.port, "postgres_password": password}
    if not cluster.home.is_relative_to(data.root):
        sections["embedded"]["postgres_dir"] = str(cluster.home)
    sections["database"] = {"dsn": f"{server.address}/{DATABASE_NAME}"}
    for name in ("owner_password", "gateway_password", "jobs_password", "api_password"):
        sections["database"][name] = database.get(name) or secrets.token_hex(PASSWORD_BYTES)
    return server


def _compose_nats(
    said: Settings,
    data: DataDir,
    known: dict[str, dict[str, str | int]],
    sections: dict[str, dict[str, str | int]],
) -> EmbeddedNats:
    if said.broker.kind != "nats":
        raise SettingsError(
            f"broker.kind is {said.broker.kind}, which `mizumori up` does not run itself: set "
            "broker.host to where it runs."
        )
    if "port" in said.broker.model_fields_set and said.broker.port != said.nats.mqtt_port:
        raise SettingsError(
            "broker.port is set without broker.host: the embedded broker's port is nats.mqtt_port."
        )
    nats = known.get("nats", {})
    running = Process.read(data.broker / PID_FILE) is not None
    sections["nats"] = {
        "client_port": _port(said, "client_port", nats, running=running),
        "monitor_port": _port(said, "monitor_port", nats, running=running),
        "admin_password": nats.get("admin_password") or secrets.token_hex(PASSWORD_BYTES),
        "store_dir": str(data.broker / "store"),
        "log_file": str(data.log / "broker.log"),
    }
    sections["broker"] = {
        "host": dialled(said.nats.mqtt_host),
        "port": said.nats.mqtt_port,
    }
    monitor_port = int(sections["nats"]["monitor_port"])
    return EmbeddedNats(
        home=data.broker,
        config_file=data.broker / CONFIG_FILE,
        monitor_port=monitor_port,
        log_file=data.log / "broker-start.log",
        ports=(
            Port(said.nats.mqtt_host, said.nats.mqtt_port, "nats.mqtt_port"),
            Port(said.nats.client_host, int(sections["nats"]["client_port"]), "nats.client_port"),
            Port("127.0.0.1", monitor_port, "nats.monitor_port"),
        ),
        own_log=data.log / "broker.log",
    )


def _port(said: Settings, name: str, known: dict[str, str | int], *, running: bool) -> int:
    """Return the port that is set, else the one of the last time if it can be had, else another."""
    if name in said.nats.model_fields_set:
        return int(getattr(said.nats, name))
    port = int(known.get(name, 0))
    return port if port and (running or is_free("127.0.0.1", port)) else free_port()
