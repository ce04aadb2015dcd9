"""A town with everything that the page can show, as rows that gateway and jobs would write."""

import math
from datetime import timedelta

from store import device_catalog, rules, site_catalog, town_catalog
from store.device_catalog import NewDevice
from store.site_catalog import NewSite
from store.town_catalog import NewTenant
from tests.api.seed import Seed, ago, now

# A sensor, its state now: depth in metres, rate in metres per hour, level of its alert.
FLOOD = {
    "deep": ("駅西地下道", "West Underpass", 0.34, 1.2, 4),
    "watch": ("銀座通り", "Ginza-dori", 0.07, 0.3, 1),
    "dry": ("役場前", "Town Hall", 0.0, 0.0, 0),
}


class Town(Seed):
    """A seeded town, and hands to let things happen in it."""

    def __init__(self, database, *, training=False):
        self.database = database
        with database.transaction() as conn:
            self.town = town_catalog.add_tenant(
                conn,
                NewTenant(
                    code="kawabe",
                    name_ja="川辺町",
                    name_en="Kawabe Town",
                    map_lat=38.90,
                    map_lon=139.93,
                    map_zoom=14,
                    training=training,
                ),
            )
            self._add_places(conn)
            rules.add_defaults(conn, self.town.tenant_id)
        self.alerts = {}
        for code, (_, _, depth, rate, level) in FLOOD.items():
            self.hear(code)
            self.course(code, "depth_m", depth, rate=rate)
            if level:
                stream = self.streams[(code, "depth_m")]
                self.alerts[code] = self.alert(
                    stream, level=level, onset=ago(minutes=38), training=training
                )
        self.hear("silent")
        self.latest(
            self.streams[("silent", "depth_m")], 0.12, time=ago(hours=2), received=ago(hours=2)
        )
        self.link("silent", "silent")
        self.state("resting", "maintenance")
        self._fill_ponds()
        self.hear("plow-1")
        self.positions("plow-1", [
            (ago(seconds=10 * (40 - i)), 38.895 + i * 0.0003, 139.92 + i * 0.0004, i > 20)
            for i in range(40)
        ])  # fmt: skip

    def _add_places(self, conn):
        town = self.town.tenant_id
        places = {**{code: row[:2] for code, row in FLOOD.items()},
                  "silent": ("新町", "Shinmachi"), "resting": ("市場前", "Market")}  # fmt: skip
        for i, (code, (ja, en)) in enumerate(places.items()):
            site_catalog.add_site(
                conn,
                town,
                NewSite(
                    code=code,
                    kind="street",
                    name_ja=ja,
                    name_en=en,
                    lat=38.895 + 0.004 * i,
                    lon=139.92 + 0.006 * (i % 3),
                    close_at_m=0.15,
                    crew_minutes=8,
                ),
            )
        for i, (ja, en) in enumerate((("一番池", "Pond 1"), ("二番池", "Pond 2"))):
            site_catalog.add_site(
                conn,
                town,
                NewSite(
                    code=f"pond-{i}",
                    kind="pond",
                    name_ja=ja,
                    name_en=en,
                    lat=38.891,
                    lon=139.908 + 0.002 * i,
                ),
            )
        device_catalog.add_devices(conn, town, [
            *(NewDevice(code, "flood_level", f"{ja} 水位計", f"{en} sensor", 60, site=code)
              for code, (ja, en) in places.items()),
            *(NewDevice(f"probe-{i}", "pond_probe", f"水質計{i}", f"Probe {i}", 60,
                        site=f"pond-{i}") for i in range(2)),
            NewDevice("plow-1", "plow", "除雪1号", "Plow 1", 30),
        ])  # fmt: skip

    def _fill_ponds(self):
        for i, oxygen in enumerate((8.1, 3.6)):
            self.hear(f"probe-{i}")
            values = {"water_temp_c": 12.4 + i, "ph": 7.6, "dissolved_oxygen_mg_l": oxygen}
            for name, value in values.items():
                self.course(f"probe-{i}", name, value)
        self.alert(
            self.streams[("probe-1", "dissolved_oxygen_mg_l")],
            rule="pond-oxygen-low", level=2, onset=ago(minutes=50),
        )  # fmt: skip

    def hear(self, device):
        self.link(device, "online")

    def course(self, device, name, value, *, rate=None):
        """Three hours of readings with a gap, one suspect and one failed among them."""
        stream = self.streams[(device, name)]
        minutes = [m for m in range(180, 0, -1) if not 70 < m < 95]
        points = [(ago(minutes=m), value / (1 + math.exp((m - 40) / 8))) for m in minutes]
        self.readings(stream, points)
        self.readings(stream, [(ago(minutes=30, seconds=30), value * 0.9)], flag=3)
        self.readings(stream, [(ago(minutes=29, seconds=30), value + 9)], flag=4)
        self.latest(stream, value, rate=rate)

    def rise(self, device, depth, level, *, rate=1.0, unconfirmed=False):
        """The gateway commits a reading that raises an alert, and tells."""
        stream = self.streams[(device, "depth_m")]
        time = now() - timedelta(seconds=1)
        self.readings(stream, [(time, depth)])
        self.latest(stream, depth, time=time, rate=rate)
        alert = self.alert(stream, level=level, onset=time, peak=depth, unconfirmed=unconfirmed)
        self.notify(datastreams=[stream], alerts=[alert])
        return alert
