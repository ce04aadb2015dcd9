-- Towns. The directory is a view: all that the API may know before a town is chosen.

-- name: add
insert into tenant (code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom)
values (%(code)s, %(name_ja)s, %(name_en)s, %(time_zone)s, %(training)s,
    %(map_lat)s, %(map_lon)s, %(map_zoom)s)
returning tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom;

-- name: towns
select tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom
from town_directory
where %(code)s::text is null or code = %(code)s
order by code;

-- name: lock
select code, to_jsonb(t) from tenant t where tenant_id = %(tenant_id)s for update;

-- name: set
update tenant set name_ja = %(name_ja)s, name_en = %(name_en)s, time_zone = %(time_zone)s,
    training = %(training)s, map_lat = %(map_lat)s, map_lon = %(map_lon)s,
    map_zoom = %(map_zoom)s, register_per_day = %(register_per_day)s
where tenant_id = %(tenant_id)s;

-- name: register_per_day
select register_per_day from tenant where tenant_id = %(tenant_id)s;
