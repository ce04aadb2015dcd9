-- Which towns there are: all that may be known before a town is chosen.

-- name: towns
select tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom
from town_directory
order by code;

-- name: town
select tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom
from town_directory
where code = %(code)s;
