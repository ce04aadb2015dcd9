-- Devices.

-- name: add
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
select d.device_id, d.tenant_id, d.site_id, s.code as site, d.code, d.kind, d.name_ja, d.name_en,
    d.lat, d.lon, d.expected_interval_s, d.state, d.codec, d.codec_params, d.learned, d.created_at
from device d
left join site s on s.site_id = d.site_id
where (%(tenant_id)s::integer is null or d.tenant_id = %(tenant_id)s)
    and (%(codes)s::text[] is null or d.code = any (%(codes)s))
order by d.tenant_id, d.code;

-- name: lock
select device_id from device where tenant_id = %(tenant_id)s and code = %(code)s for update;

-- name: set
update device set
    site_id = (select site_id from site where tenant_id = %(tenant_id)s and code = %(site)s),
    kind = %(kind)s, name_ja = %(name_ja)s, name_en = %(name_en)s, lat = %(lat)s, lon = %(lon)s,
    expected_interval_s = %(expected_interval_s)s, state = %(state)s, codec = %(codec)s,
    codec_params = %(codec_params)s
where device_id = %(device_id)s;

-- name: set_secret
update device set secret_hash = %(secret_hash)s
where tenant_id = %(tenant_id)s and code = %(code)s;
