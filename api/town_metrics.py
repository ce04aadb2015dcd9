"""Figures of the towns for Prometheus, read when they are asked for."""

from collections.abc import Iterator

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.town import Access
from store import town_catalog, town_figures
from store.errors import DatabaseAwayError


class TownMetrics(Collector):
    """Reads each town in a transaction that sees nothing but it.

    The readings themselves are not counted: the gateway does that as it stores them.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def describe(self) -> list[Metric]:
        """Name the metrics without asking the database."""
        return [*_families().values()]

    def collect(self) -> Iterator[Metric]:
        """Read the figures; without a database only that it is away."""
        families = _families()
        up = 1.0
        try:
            self._fill(families)
        except (DatabaseAwayError, psycopg.Error):
            up = 0.0
        families["up"].add_metric([], up)
        yield from families.values()

    def _fill(self, families: dict[str, GaugeMetricFamily]) -> None:
        with self._access.transaction(None) as conn:
            towns = town_catalog.tenants(conn)
        for town in towns:
            with self._access.transaction(town.tenant_id) as conn:
                figures = town_figures.figures(conn)
                links = town_figures.links(conn)
            families["datastreams"].add_metric([town.code], figures.datastreams)
            families["alerts"].add_metric([town.code], figures.open_alerts)
            families["refused"].add_metric([town.code], figures.refused_last_hour)
            if figures.newest_age_s is not None and figures.oldest_age_s is not None:
                families["newest"].add_metric([town.code], figures.newest_age_s)
                families["oldest"].add_metric([town.code], figures.oldest_age_s)
            for state in ("online", "offline", "silent", "unknown"):
                families["devices"].add_metric([town.code, state], links.get(state, 0))


def _families() -> dict[str, GaugeMetricFamily]:
    def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"mizumori_{name}", text, labels=labels)

    return {
        "up": gauge("api_database_up", "1 while the database answers the API"),
        "devices": gauge("town_devices", "Active devices, by their link", "town", "link"),
        "datastreams": gauge("town_datastreams", "Datastreams of the town", "town"),
        "alerts": gauge("town_open_alerts", "Alerts under way", "town"),
        "newest": gauge(
            "town_latest_age_seconds", "Age of the town's newest reading, by arrival", "town"
        ),
        "oldest": gauge(
            "town_oldest_latest_age_seconds",
            "Age of the newest reading of the datastream that is longest without one",
            "town",
        ),
        "refused": gauge(
            "town_refused_last_hour", "Messages put into quarantine within an hour", "town"
        ),
    }
