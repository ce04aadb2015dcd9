"""Hold the devices' ledger against the stored rows."""

from dataclasses import dataclass

import psycopg

from tests.chaos.alert_ledger import AlertAudit
from tests.chaos.publisher import Ledger


@dataclass(frozen=True)
class Audit:
    """What the comparison found. A sound system has nothing in the last four lists."""

    sent: int
    acknowledged: int
    stored: int
    lost: list[tuple[str, int]]
    doubled: list[tuple[str, int]]
    changed: list[tuple[str, int]]
    invented: list[tuple[str, int]]
    alerts: AlertAudit | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, doubled, changed or invented, and the alerts are right."""
        wrong = self.lost or self.doubled or self.changed or self.invented
        return not wrong and (self.alerts is None or self.alerts.sound)

    def __str__(self) -> str:
        return (
            f"sent {self.sent}, acknowledged {self.acknowledged}, stored {self.stored}: "
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, changed {len(self.changed)}, "
            f"invented {len(self.invented)}" + ("" if self.alerts is None else f"; {self.alerts}")
        )


def stored_rows(dsn: str, tenant: str) -> list[tuple[str, int, float]]:
    """Read every stored depth of a town: device code, phenomenon time in ms, value."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            """
            select d.code, (extract(epoch from o.phenomenon_time) * 1000)::bigint, o.value
            from observation o
            join datastream s using (datastream_id)
            join device d using (device_id)
            join tenant t on t.tenant_id = d.tenant_id
            where t.code = %s and s.property = 'depth_m'
            """,
            (tenant,),
        ).fetchall()


def audit(ledger: Ledger, rows: list[tuple[str, int, float]]) -> Audit:
    """Compare what was sent and acknowledged with what is stored."""
    seen: dict[tuple[str, int], float] = {}
    doubled = []
    for code, at_ms, value in rows:
        if (code, at_ms) in seen:
            doubled.append((code, at_ms))
        seen[code, at_ms] = value
    return Audit(
        sent=len(ledger.sent),
        acknowledged=len(ledger.acknowledged),
        stored=len(rows),
        lost=sorted(ledger.acknowledged - seen.keys()),
        doubled=sorted(doubled),
        changed=sorted(
            key for key in seen.keys() & ledger.sent.keys() if seen[key] != ledger.sent[key]
        ),
        invented=sorted(seen.keys() - ledger.sent.keys()),
    )
