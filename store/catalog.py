"""Moved: see store/{town,site,device,datastream}_catalog.py and store/config_channel.py."""

from typing import Any

from store.database import Connection
from store.site_catalog import NewSite, Site
from store.site_catalog import add_site as _add_site
from store.town_catalog import NewTenant, Tenant
from store.town_catalog import add_tenant as _add_tenant


def add_tenant(conn: Connection, new: NewTenant | None = None, **values: Any) -> Tenant:
    return _add_tenant(conn, new or NewTenant(**values))


def add_site(conn: Connection, tenant_id: int, new: NewSite | None = None, **values: Any) -> Site:
    return _add_site(conn, tenant_id, new or NewSite(**values))
