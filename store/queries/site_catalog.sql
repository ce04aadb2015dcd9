-- Sites.

-- name: add
insert into site (tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes,
    ground_m)
values (%(tenant_id)s, %(code)s, %(kind)s, %(name_ja)s, %(name_en)s, %(lat)s, %(lon)s,
    %(close_at_m)s, %(crew_minutes)s, %(ground_m)s)
returning site_id, tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes,
    ground_m;

-- name: sites
select site_id, tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes,
    ground_m
from site
where tenant_id = %(tenant_id)s and (%(code)s::text is null or code = %(code)s)
order by code;

-- name: lock
select site_id, tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes,
    ground_m
from site
where tenant_id = %(tenant_id)s and code = %(code)s
for update;

-- name: set
update site set kind = %(kind)s, name_ja = %(name_ja)s, name_en = %(name_en)s, lat = %(lat)s,
    lon = %(lon)s, close_at_m = %(close_at_m)s, crew_minutes = %(crew_minutes)s,
    ground_m = %(ground_m)s
where site_id = %(site_id)s;
