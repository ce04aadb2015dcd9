"""Brings data sources, folders and dashboards into a Grafana, one set a town.

Each town's data source uses a database role that sees this town only, whatever a person types
into Grafana's query editor.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grafana_client.api import GrafanaApi
from grafana_client.client import (
    GrafanaClientError,
    GrafanaException,
    GrafanaTimeoutError,
    GrafanaUnauthorizedError,
)
from niquests.exceptions import RequestException
from psycopg.conninfo import conninfo_to_dict

from deploy.broker.secrets import new_secret
from deploy.compose_database import open_database
from deploy.grafana.dashboard import (
    DASHBOARDS,
    DATASOURCE_TYPE,
    build_dashboard,
    dashboard_uid,
    datasource_uid,
    folder_uid,
    former_folder_uid,
)
from deploy.grafana.errors import GrafanaSyncError
from deploy.settings import GrafanaSettings, Settings
from store import town_catalog
from store.database import Database
from store.town_catalog import Tenant
from store.town_roles import pin_role

ANSWER_WITHIN_S = 15.0
# The first that knows its PostgreSQL data source under the name `DATASOURCE_TYPE`.
OLDEST = (10, 2, 3)
# What Grafana's PostgreSQL data source knows; libpq knows more.
SSL_MODES = ("disable", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class DatabaseAddress:
    """Where Grafana finds the database.

    Parameters
    ----------
    url
        `host:port`, an IPv6 host in brackets; or the folder of the server's socket.
    name
        The database.
    ssl_mode
        One of `SSL_MODES`.
    """

    url: str
    name: str
    ssl_mode: str

    @classmethod
    def of(cls, dsn: str, address: str) -> "DatabaseAddress":
        """Take it from our own connection string, with another `host:port` if one is given."""
        parts = conninfo_to_dict(dsn)
        host, port = str(parts.get("host") or "127.0.0.1"), parts.get("port") or "5432"
        reached = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        mode = str(parts.get("sslmode") or "disable")
        return cls(
            url=address or (host if host.startswith("/") else reached),
            name=str(parts.get("dbname") or ""),
            ssl_mode=mode if mode in SSL_MODES else "disable",
        )


def sync_grafana(settings: Settings) -> Iterator[str]:
    """Make or renew every town's data source, folder and dashboards.

    May be repeated. A dashboard that is as it should be is left alone; the password of a town's
    database role is made anew each time and is known to Grafana alone.

    Yields
    ------
    str
        One sentence for each thing done.

    Raises
    ------
    GrafanaSyncError
        Grafana does not answer or refuses, in words.
    SettingsError, StoreError
        In words.
    """
    api = _connect(settings.grafana)
    address = DatabaseAddress.of(settings.database.dsn, settings.grafana.database_address)
    try:
        with open_database(settings, "owner", name="mizumori-grafana", max_size=1) as database:
            with database.transaction() as conn:
                towns = town_catalog.tenants(conn)
            if not towns:
                yield "There is no town yet: add one with `mizumori tenant add`."
            # The folder that `x-flood` was given at first is in the way of a dashboard of `x`.
            for town in sorted(towns, key=lambda town: len(town.code), reverse=True):
                yield from _sync_town(api, database, town, address)
    except (GrafanaException, RequestException) as error:
        raise _in_words(error, settings.grafana.url) from error


def _connect(settings: GrafanaSettings) -> GrafanaApi:
    token = settings.token.get_secret_value()
    if not settings.url or not token:
        raise GrafanaSyncError(
            "Set grafana.url to Grafana's address, and MIZUMORI_GRAFANA__TOKEN to the token of a "
            "service account with the role Admin (Grafana: Administration, Service accounts)."
        )
    # The library glues a path to "api" unless it ends in a slash.
    api: GrafanaApi = GrafanaApi.from_url(
        settings.url.rstrip("/") + "/", token, timeout=ANSWER_WITHIN_S
    )
    # Else Grafana judges a data source for five seconds by what it was before it was changed.
    api.client.s.headers["X-Grafana-NoCache"] = "true"
    try:
        version = str(api.version or "")
    except (GrafanaException, RequestException) as error:
        raise _in_words(error, settings.url) from error
    except (ValueError, AttributeError) as error:  # no JSON, or JSON without a version
        raise GrafanaSyncError(
            f"What answers at {settings.url} is no Grafana: is grafana.url right?"
        ) from error
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers and tuple(map(int, numbers.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise GrafanaSyncError(
            f"Grafana at {settings.url} is version {version}; Mizumori needs {oldest} or later."
        )
    return api


def _sync_town(
    api: GrafanaApi, database: Database, town: Tenant, address: DatabaseAddress
) -> Iterator[str]:
    password = new_secret()
    with database.transaction() as conn:
        role = pin_role(conn, town, password)
    uid = datasource_uid(town.code)
    datasource = {
        "uid": uid,
        "name": f"Mizumori {town.code}",
        "type": DATASOURCE_TYPE,
        "access": "proxy",
        "url": address.url,
        "user": role,
        "jsonData": {
            "database": address.name,
            "sslmode": address.ssl_mode,
            "postgresVersion": 1500,
            "maxOpenConns": 5,
            "timescaledb": False,
        },
        "secureJsonData": {"password": password},
    }
    if _found(api.datasource.get_datasource_by_uid, uid) is None:
        api.datasource.create_datasource(datasource)
    else:
        api.datasource.update_datasource_by_uid(uid, datasource)
    _check_reach(api, uid, address)
    yield f"{town.code}: data source ready, role {role}."
    name = f"{town.name_ja} · {town.name_en}"
    former = _put_folder(api, town.code, f"【訓練】{name}" if town.training else name)
    for dashboard in DASHBOARDS:
        yield f"{town.code}: dashboard {dashboard} {_put_dashboard(api, dashboard, town, name)}."
    if former is not None:
        yield f"{town.code}: {_end_folder(api, former)}"


def _put_folder(api: GrafanaApi, tenant: str, title: str) -> dict[str, Any] | None:
    """Make or renew a town's folder; return the one it had under another identity, if any."""
    uid, former = folder_uid(tenant), None
    if uid != former_folder_uid(tenant):
        former = _found(api.folder.get_folder, former_folder_uid(tenant))
    old_title = f"{title} (old)"
    if former is not None and former["title"] != old_title:  # else the new one's title is taken
        api.folder.update_folder(former["uid"], title=old_title, overwrite=True)
        former["title"] = old_title
    folder = _found(api.folder.get_folder, uid)
    if folder is None:
        api.folder.create_folder(title, uid=uid)
    elif folder["title"] != title:
        api.folder.update_folder(uid, title=title, overwrite=True)
    return former


def _end_folder(api: GrafanaApi, former: Mapping[str, Any]) -> str:
    """Remove a folder whose dashboards have moved, unless somebody keeps something in it."""
    held = _found(api.client.GET, f"/folders/{former['uid']}/counts")
    if held is None or any(held.values()):
        return (
            f"the dashboards have moved out of the folder {former['title']!r}, which holds "
            "something else: move that too, and the next sync removes the folder."
        )
    api.folder.delete_folder(former["uid"])
    return f"the folder {former['title']!r} was empty and is removed."


def _check_reach(api: GrafanaApi, uid: str, address: DatabaseAddress) -> None:
    """Have Grafana log in to the database with what it was just given."""
    try:
        health = api.datasource.health(uid)
    except GrafanaClientError as error:
        if error.status_code == 404:  # the data source was just stored, so it is its kind
            raise GrafanaSyncError(
                f"Grafana has no data source for PostgreSQL (plugin {DATASOURCE_TYPE}): install "
                "it there (Administration, Plugins), then repeat this."
            ) from error
        if error.status_code != 400:  # so Grafana says that the data source does not work
            raise
        health = error.response if isinstance(error.response, dict) else {}
    if health.get("status") != "OK":
        raise GrafanaSyncError(
            f"Grafana does not reach the database at {address.url} "
            f"({health.get('message', 'no reason given')}): set grafana.database_address to "
            "host:port as Grafana sees it, and let PostgreSQL listen there."
        )


def _put_dashboard(api: GrafanaApi, name: str, town: Tenant, title: str) -> str:
    wanted = build_dashboard(name, town.code, title, training=town.training)
    present = _found(api.dashboard.get_dashboard, dashboard_uid(town.code, name))
    folder = folder_uid(town.code)
    if present is not None:
        same = all(present["dashboard"].get(key) == value for key, value in wanted.items())
        if same and present.get("meta", {}).get("folderUid") == folder:
            return "unchanged"
    api.dashboard.update_dashboard(
        {
            "dashboard": wanted,
            "folderUid": folder,
            "overwrite": True,
            "message": "mizumori grafana sync",
        }
    )
    return "made" if present is None else "renewed"


def _found(get: Any, uid: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = get(uid)
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise
    return found


def _in_words(error: Exception, url: str) -> GrafanaSyncError:
    if isinstance(error, GrafanaUnauthorizedError) or getattr(error, "status_code", 0) == 403:
        return GrafanaSyncError(
            f"Grafana at {url} does not accept the token: it must be that of a service account "
            "with the role Admin (MIZUMORI_GRAFANA__TOKEN)."
        )
    if isinstance(error, GrafanaTimeoutError | RequestException):
        return GrafanaSyncError(
            f"Grafana at {url} does not answer: is it running, and is grafana.url right?"
        )
    answer = getattr(error, "response", None)
    said = answer.get("message") if isinstance(answer, dict) else None
    return GrafanaSyncError(f"Grafana at {url} refuses: {str(said or error).rstrip('.')}.")
