-- The present state of a town's devices, for lists and maps.

-- name: devices
select d.device_id, d.site_id, d.code, d.kind, d.state, d.name_ja, d.name_en,
    coalesce(d.lat, s.lat) as lat, coalesce(d.lon, s.lon) as lon, d.expected_interval_s,
    s.code as site_code, s.kind as site_kind, s.name_ja as site_name_ja,
    s.name_en as site_name_en, s.close_at_m, s.crew_minutes,
    l.state as link_state, l.since as link_since, l.last_received_time as last_received,
    case when l.state = 'silent' then l.router end as link_router,
    p.phenomenon_time as fix_time, p.received_time as fix_received, p.lat as fix_lat,
    p.lon as fix_lon, p.speed_kmh, p.course_deg, p.blade, p.flag as fix_flag, p.marks as fix_marks,
    c.too_early as clock_too_early, c.in_future as clock_in_future, c.suspect as clock_suspect,
    c.last_at as clock_last, c.last_ahead_s as clock_ahead_s,
    -- Of the present window and the one before: the newest on the line, or its beginning.
    greatest(w.lead_s, w.before_lead_s + coalesce(w.drift_s_per_day, 0) / 86400
        * extract(epoch from w.window_at - w.before_at - %(clock_window)s)) as clock_offset_s,
    -- What was kept and comes faster than it is measured, until it has caught up, looks like a clock
    -- that is behind and gains.
    case when w.window_at - w.before_at >= %(clock_line)s * %(clock_window)s
        and not (w.lead_s < 0 and w.drift_s_per_day > %(catching_up)s)
        then w.drift_s_per_day end as clock_drift_s_per_day
from device d
left join site s on s.site_id = d.site_id
left join link_state l using (device_id)
left join latest_position p using (device_id)
left join device_clock c using (device_id)
left join clock_lead w using (device_id)
where (%(code)s::text is null and d.state <> 'retired' or d.code = %(code)s)
    and (%(ids)s::integer[] is null or d.device_id = any (%(ids)s))
    and (%(kinds)s::text[] is null or d.kind = any (%(kinds)s))
order by d.code;

-- name: latest
-- What is not a number has no value for a reader: its flag says why.
select ds.datastream_id, ds.device_id, d.code as device_code, d.state as device_state, ds.property, ds.unit, ds.derived,
    l.phenomenon_time as time, l.received_time as received, l.flag, r.revised_flag, l.marks,
    l.rate_per_h,
    case when l.value in ('NaN', 'Infinity', '-Infinity') then null else l.value end as value
from datastream ds
join device d using (device_id)
left join latest l using (datastream_id)
left join lateral (
    -- `offset 0` keeps the condition inside, so that each finds the index.
    select worse_flag(coalesce(v.given, l.flag), v.found) as revised_flag
    from tenant_reviewed_flag v
    where v.datastream_id = l.datastream_id and v.phenomenon_time = l.phenomenon_time
    offset 0
) r on true
where ds.device_id = any (%(device_ids)s::integer[])
    or ds.datastream_id = any (%(datastream_ids)s::integer[])
order by ds.device_id, ds.datastream_id;

-- name: track_points
select p.device_id, p.phenomenon_time as time, p.lat, p.lon, p.blade
from tenant_position p
where p.device_id = any (%(device_ids)s)
    and p.phenomenon_time >= %(start)s and p.phenomenon_time < %(stop)s
    and p.flag not in (4, 9)
order by p.device_id, p.phenomenon_time
limit %(limit)s;
