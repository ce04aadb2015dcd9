"""Moved: see store/{town,site,device,datastream}_catalog.py and store/config_channel.py."""

from store.config_channel import notify
from store.datastream_catalog import (
    USUAL_DATASTREAMS, Datastream, add_datastream, datastreams,
)
from store.device_catalog import (
    Device, NewDevice, add_devices, device, devices, set_device_codec, set_device_secret,
    set_device_state,
)
from store.site_catalog import NewSite, Site, site, sites
from store.site_catalog import add_site as _add_site
from store.town_catalog import NewTenant, Tenant, set_training, tenant, tenants
from store.town_catalog import add_tenant as _add_tenant


def add_tenant(conn, new=None, **values):
    return _add_tenant(conn, new or NewTenant(**values))


def add_site(conn, tenant_id, new=None, **values):
    return _add_site(conn, tenant_id, new or NewSite(**values))
