-- Flood sensors of a town side by side. Depth above the ground alone can be compared between
-- places: stages are above each gauge's own datum.

-- name: sensors
select ds.datastream_id, ds.tenant_id, d.site_id, d.kind,
    coalesce(d.lat, s.lat) as lat, coalesce(d.lon, s.lon) as lon,
    s.ground_m, d.expected_interval_s,
    d.state = 'active' as active
from datastream ds
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
where ds.property = 'depth_m' and ds.unit = 'm' and not ds.derived
    and d.kind in ('flood_contact', 'flood_level')
    and ds.tenant_id in (
        select tenant_id from datastream where datastream_id = any (%(datastream_ids)s::integer[])
    )
order by ds.datastream_id;

-- name: activity
select r.datastream_id, sum(r.n + r.n_suspect)::integer as readings,
    bool_or(r.value_max >= %(stir_m)s or r.n_suspect > 0) as stirred,
    coalesce(bool_or(r.value_max >= %(stir_m)s or r.n_suspect > 0)
        filter (where r.bucket >= date_trunc('hour', %(start)s::timestamptz, 'UTC')), false)
        as stirred_since,
    coalesce(max(r.value_max) - min(r.value_min) >= %(stir_m)s, false) or sum(r.n_suspect) > 0
        as moved,
    bool_or(r.value_min = r.value_max or r.n_suspect > 0) as still
from datastream ds
join device d on d.device_id = ds.device_id and d.kind in ('flood_contact', 'flood_level')
join rollup_hour r on r.datastream_id = ds.datastream_id
    and r.bucket >= date_trunc('hour', %(before)s::timestamptz, 'UTC') and r.bucket < %(stop)s
    and (r.n > 0 or r.n_suspect > 0)
where ds.tenant_id = any (%(tenant_ids)s::integer[]) and ds.property = 'depth_m'
group by r.datastream_id;

-- name: readings
-- Array parameters of one length.
select o.datastream_id, (extract(epoch from o.phenomenon_time) * 1000)::bigint, o.value
from unnest(%(datastream_ids)s::integer[], %(since)s::timestamptz[]) as k (datastream_id, since)
join observation o on o.datastream_id = k.datastream_id
    and o.phenomenon_time >= k.since and o.phenomenon_time < %(stop)s
order by o.datastream_id, o.phenomenon_time;

-- name: newest
select max(phenomenon_time) from latest where datastream_id = any (%(datastream_ids)s::integer[]);

-- name: objected
select distinct ds.datastream_id
from datastream ds join flag_revision r using (datastream_id)
where ds.tenant_id = any (%(tenant_ids)s::integer[]) and ds.property = 'depth_m'
    and r.source = 'flood' and r.phenomenon_time >= %(start)s and r.phenomenon_time < %(stop)s;

-- name: alerts_at
select distinct a.tenant_id, a.alert_id
from unnest(%(datastream_ids)s::integer[], %(times)s::timestamptz[]) as k (datastream_id, at)
join alert a on a.datastream_id = k.datastream_id and a.onset_time <= k.at
    and (a.clear_time is null or a.clear_time >= k.at)
where not a.withdrawn and a.merged_into is null
order by a.tenant_id, a.alert_id;
