"""Dashboards: from the files in `dashboards/` to what Grafana's HTTP API takes."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

DASHBOARDS: Final = ("flood", "ponds", "snow")
DATASOURCE_TYPE: Final = "grafana-postgresql-datasource"
SCHEMA_VERSION: Final = 39  # of Grafana 10.4; later ones migrate it when they show it
REFRESH: Final = "30s"
NO_VALUE: Final = "不明 · unknown"
IN_TIME: Final = ("timeseries", "state-timeline")
GAP_MIN: Final = 30  # of a panel whose file names none


def dashboard_uid(tenant: str, name: str) -> str:
    """Return the dashboard's identity in Grafana, which allows 40 characters."""
    return f"mz-{tenant}-{name}"


def datasource_uid(tenant: str) -> str:
    """Return the identity of a town's data source."""
    return f"mz-{tenant}"


def folder_uid(tenant: str) -> str:
    """Return the identity of a town's folder.

    Grafana keeps folders among the dashboards: where `mz-x-flood` is the dashboard of the town
    `x`, the town `x-flood` needs another folder. A code holds no `_`. Other towns keep what they
    were given first: people refer to it, and their rights are bound to it.
    """
    ends_like_a_dashboard = tenant.endswith(tuple(f"-{name}" for name in DASHBOARDS))
    return f"mz_{tenant}" if ends_like_a_dashboard else former_folder_uid(tenant)


def former_folder_uid(tenant: str) -> str:
    """Return the identity that every town's folder was given at first."""
    return f"mz-{tenant}"


def read_dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard's file: title, `from`, and panels with title, type, grid and SQL.

    A panel's `gap_min` is how many minutes without a value interrupt a line.
    """
    text = (files("deploy.grafana") / "dashboards" / f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def build_dashboard(name: str, tenant: str, town: str, *, training: bool) -> dict[str, Any]:
    """Build a town's dashboard.

    Parameters
    ----------
    name
        One of `DASHBOARDS`.
    tenant, town
        The town's code, and its name for people.
    training
        Whether the title carries the mark of an exercise.

    Returns
    -------
    dict
        The `dashboard` of Grafana's dashboard API.
    """
    described = read_dashboard(name)
    mark = "【訓練】" if training else ""
    return {
        "uid": dashboard_uid(tenant, name),
        "title": f"{mark}{described['title']} — {town}",
        "tags": ["mizumori", tenant, *(["訓練"] if training else [])],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "refresh": REFRESH,
        "time": {"from": described["from"], "to": "now"},
        "editable": False,
        "panels": [
            _panel(number, panel, datasource_uid(tenant))
            for number, panel in enumerate(described["panel"], start=1)
        ],
    }


def _panel(number: int, panel: Mapping[str, Any], datasource: str) -> dict[str, Any]:
    source = {"type": DATASOURCE_TYPE, "uid": datasource}
    x, y, width, height = panel["grid"]
    return {
        "id": number,
        "title": panel["title"],
        "type": panel["type"],
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "datasource": source,
        "targets": [
            {
                "refId": "A",
                "datasource": source,
                "editorMode": "code",
                "rawQuery": True,
                "format": "time_series" if panel["type"] in IN_TIME else "table",
                "rawSql": panel["sql"].strip(),
            }
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel["type"]),
    }


def _defaults(panel: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"noValue": NO_VALUE}
    if "unit" in panel:
        defaults["unit"] = panel["unit"]
    if panel["type"] in IN_TIME:
        # Grafana joins a panel's series by time, with a null where only another one has a value:
        # these are spanned. A longer gap stays a gap: nobody measured there.
        gap_ms = 60_000 * panel.get("gap_min", GAP_MIN)
        defaults["custom"] = {"spanNulls": gap_ms, "insertNulls": gap_ms}
    if "thresholds" in panel:
        first, *others = panel["thresholds"]
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [
                {"value": None, "color": first[1]},
                *({"value": value, "color": colour} for value, colour in others),
            ],
        }
    if "mappings" in panel:
        options = {
            value: {"text": text, "color": colour, "index": index}
            for index, (value, text, colour) in enumerate(panel["mappings"])
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    return defaults


def _options(kind: str) -> dict[str, Any]:
    if kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}}
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}}
    return {}
