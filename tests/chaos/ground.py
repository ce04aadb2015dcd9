"""The system on bad ground: its lines go through ours, its data lie on disks of ours."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.chaos.disk import Disk, missing
from tests.chaos.line import Line
from tests.fixtures.system import System

LINES = ("device-broker", "gateway-broker", "gateway-database")
DISKS = ("broker-disk", "database-disk")
BROKER_MB, DATABASE_MB = 96, 700
REWIRED_WITHIN_S = 60.0


class Ground(System):
    """`mizumori up` whose gateways reach broker and database over lines that can fail.

    Attributes
    ----------
    lines
        By name.
    disks
        By name; empty where none can be made, for the reason `no_disks`.
    device_port
        Where devices reach the broker.
    """

    def __init__(self, folder: Path, *, disks: bool = True, more: str = "") -> None:
        super().__init__(folder, more=more)
        self.lines: dict[str, Line] = {}
        self.disks: dict[str, Disk] = {}
        self.no_disks = missing() if disks else "they were not asked for"

    @property
    def device_port(self) -> int:
        return self.lines["device-broker"].port

    def start(self, *options: str) -> float:
        took = self._lay_out(*options) if not self.lines else super().start(*options)
        self._wire()
        return took

    def dsn(self, role="owner") -> str:
        """Connect past the lines: who checks is not to be disturbed."""
        wired = self.lines.get("gateway-database")
        dsn = super().dsn(role)
        return dsn if wired is None else make_conninfo(dsn, port=self._database_port)

    def end(self, part: str) -> None:
        """Kill a part that may have ended by itself."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.pid(part), signal.SIGKILL)

    def close(self) -> None:
        try:
            super().close()
        finally:
            for line in self.lines.values():
                line.close()
            for disk in self.disks.values():
                disk.close()

    def _lay_out(self, *options: str) -> float:
        """Start for the first time, with the data where they can be spoiled."""
        store = self.data_dir / "broker" / "store"
        if not self.no_disks:
            self.disks["broker-disk"] = Disk(self.folder / "broker-disk", BROKER_MB)
            store.parent.mkdir(parents=True)
            store.symlink_to(self.disks["broker-disk"].folder / "store")
            (self.disks["broker-disk"].folder / "store").mkdir()
        took = super().start(*options)
        if not self.no_disks:
            self.stop()
            self.disks["database-disk"] = Disk(self.folder / "database-disk", DATABASE_MB)
            home = self.settings.embedded.postgres_dir or self.data_dir / "postgres"
            cluster = self.disks["database-disk"].folder / "cluster"
            subprocess.run(["cp", "-a", home / "cluster", cluster], check=True)
            shutil.rmtree(home / "cluster")
            (home / "cluster").symlink_to(cluster)
            took = super().start(*options)
        self._database_port = self.settings.embedded.postgres_port
        self.lines = {
            "device-broker": Line(self.mqtt_port),
            "gateway-broker": Line(self.mqtt_port),
            "gateway-database": Line(self._database_port),
        }
        return took

    def _wire(self) -> None:
        """Have the gateways started again, over the lines: `mizumori up` has just written this."""
        remembered = self.data_dir / "embedded.toml"
        text = remembered.read_text()
        dsn = re.compile(r'^dsn = "postgresql://127\.0\.0\.1:\d+/', re.MULTILINE)
        text = dsn.sub(
            f'dsn = "postgresql://127.0.0.1:{self.lines["gateway-database"].port}/', text
        )
        broker = re.compile(r"^port = \d+$", re.MULTILINE)
        text = broker.sub(f"port = {self.lines['gateway-broker'].port}", text)
        remembered.write_text(text)
        before = {part: self.pid(part) for part in self.gateway_parts}
        for pid in before.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + REWIRED_WITHIN_S
        while any(self.parts().get(part, pid) == pid for part, pid in before.items()):
            assert time.monotonic() < deadline, f"a gateway does not start again\n{self.logs()}"
            time.sleep(0.1)
