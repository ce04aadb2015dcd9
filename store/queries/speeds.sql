-- What is stored around fixes, and the flags that follow from it. In the statements that write,
-- times and ids are plain values: TimescaleDB then unpacks one segment and not the whole chunk.

-- At most a day away: from further nothing follows for a speed. The last column: it lies behind,
-- or another one may soon stand in its place.
-- name: around
select b.device_id, k.tenant_id, (extract(epoch from b.phenomenon_time) * 1000)::bigint, b.lat,
    b.lon, b.marks, b.flag, b.evaluated,
    b.phenomenon_time > k.since or exists (
        select from position_conflict c
        where c.device_id = b.device_id and c.phenomenon_time = b.phenomenon_time
            and c.settled_at is null
    )
from unnest(%(device_id)s, %(tenant_id)s, %(since)s, %(until)s)
    as k (device_id, tenant_id, since, until)
cross join lateral (
    (
        select p.* from position p
        where p.device_id = k.device_id and p.phenomenon_time < k.since
            and p.phenomenon_time >= k.since - interval '1 day'
        order by p.phenomenon_time desc
        limit 1
    )
    union all
    (
        select p.* from position p
        where p.device_id = k.device_id and p.phenomenon_time > k.since
            and p.phenomenon_time <= k.until + interval '1 day'
        order by p.phenomenon_time
        limit 1
    )
) b;

-- Of no rows: a device all of whose fixes failed has none but them.
-- name: keep_settlement_out
select pg_advisory_xact_lock_shared(hashtext('mizumori.position_conflicts'));

-- name: put_flag
update position
set flag = %(flag)s, evaluated = %(evaluated)s
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: put_latest
-- The newest fix that did not fail: that of the time given may have failed now, or no longer.
insert into latest_position as l (device_id, tenant_id, phenomenon_time, received_time, lat, lon,
                                  speed_kmh, course_deg, blade, flag, marks)
select device_id, %(tenant_id)s, phenomenon_time, received_time, lat, lon, speed_kmh, course_deg,
    blade, flag, marks
from position
where device_id = %(device_id)s and flag not in (4, 9)
order by phenomenon_time desc
limit 1
on conflict (device_id) do update
set phenomenon_time = excluded.phenomenon_time, received_time = excluded.received_time,
    lat = excluded.lat, lon = excluded.lon, speed_kmh = excluded.speed_kmh,
    course_deg = excluded.course_deg, blade = excluded.blade, flag = excluded.flag,
    marks = excluded.marks
where excluded.phenomenon_time >= l.phenomenon_time or l.phenomenon_time = %(phenomenon_time)s;
