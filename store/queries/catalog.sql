-- Towns, sites, devices and datastreams.

-- name: add_tenant
insert into tenant (code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom)
values (%(code)s, %(name_ja)s, %(name_en)s, %(time_zone)s, %(training)s,
    %(map_lat)s, %(map_lon)s, %(map_zoom)s)
returning tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom;

-- name: tenants
select tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom
from tenant
where %(code)s::text is null or code = %(code)s
order by code;

-- name: set_training
update tenant set training = %(training)s where tenant_id = %(tenant_id)s;

-- name: add_site
insert into site (tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes)
values (%(tenant_id)s, %(code)s, %(kind)s, %(name_ja)s, %(name_en)s, %(lat)s, %(lon)s,
    %(close_at_m)s, %(crew_minutes)s)
returning site_id, tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes;

-- name: sites
select site_id, tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes
from site
where tenant_id = %(tenant_id)s and (%(code)s::text is null or code = %(code)s)
order by code;

-- name: add_device
insert into device (tenant_id, site_id, code, kind, name_ja, name_en, lat, lon,
    expected_interval_s, state, codec, codec_params, secret_hash)
values (%(tenant_id)s,
    (select site_id from site where tenant_id = %(tenant_id)s and code = %(site)s),
    %(code)s, %(kind)s, %(name_ja)s, %(name_en)s, %(lat)s, %(lon)s,
    %(expected_interval_s)s, %(state)s, %(codec)s, %(codec_params)s,
    %(secret_hash)s);

-- name: add_link
insert into link_state (device_id, tenant_id, state, since)
select device_id, tenant_id, 'unknown', now() from device
where tenant_id = %(tenant_id)s and code = any (%(codes)s);

-- name: add_link_event
insert into link_event (tenant_id, device_id, state, reason, at)
select tenant_id, device_id, 'unknown', 'created', now() from device
where tenant_id = %(tenant_id)s and code = any (%(codes)s);

-- name: devices
select device_id, tenant_id, site_id, code, kind, name_ja, name_en, lat, lon,
    expected_interval_s, state, codec, codec_params
from device
where (%(tenant_id)s::integer is null or tenant_id = %(tenant_id)s)
    and (%(codes)s::text[] is null or code = any (%(codes)s))
order by tenant_id, code;

-- name: set_state
update device set state = %(state)s where tenant_id = %(tenant_id)s and code = %(code)s;

-- name: set_codec
update device set codec = %(codec)s, codec_params = %(codec_params)s
where tenant_id = %(tenant_id)s and code = %(code)s;

-- name: set_secret
update device set secret_hash = %(secret_hash)s
where tenant_id = %(tenant_id)s and code = %(code)s;

-- name: add_datastream
insert into datastream (tenant_id, device_id, property, unit)
select tenant_id, device_id, %(property)s, %(unit)s from device
where tenant_id = %(tenant_id)s and code = %(device)s;

-- name: datastreams
select datastream_id, tenant_id, device_id, property, unit
from datastream
where (%(tenant_id)s::integer is null or tenant_id = %(tenant_id)s)
    and (%(device_ids)s::integer[] is null or device_id = any (%(device_ids)s))
order by device_id, datastream_id;

-- name: notify_config
select pg_notify('mizumori_config', json_build_object('kind', %(kind)s::text)::text);
