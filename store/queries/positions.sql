-- Fixes. Array parameters are of one length.

-- name: known_positions
select k.i, p.lat, p.lon, p.speed_kmh, p.course_deg, p.hdop, p.blade, coalesce(p.seq, -1),
    p.marks
from unnest(%(device_id)s, %(phenomenon_time)s) with ordinality as k (device_id, phenomenon_time, i)
join position p using (device_id, phenomenon_time);

-- Of no rows: a device all of whose fixes failed has none but them.
-- name: keep_settlement_out
select pg_advisory_xact_lock_shared(hashtext('mizumori.position_conflicts'));

-- The fix before each, at most a day before: from further back nothing follows for a speed; and
-- whether another one may soon stand in its place.
-- name: fixes_before
select k.i, (extract(epoch from p.phenomenon_time) * 1000)::bigint, p.lat, p.lon,
    exists (
        select from position_conflict c
        where c.device_id = k.device_id and c.phenomenon_time = p.phenomenon_time
            and c.settled_at is null
    )
from unnest(%(device_id)s, %(phenomenon_time)s) with ordinality as k (device_id, phenomenon_time, i)
cross join lateral (
    select b.phenomenon_time, b.lat, b.lon
    from position b
    where b.device_id = k.device_id and b.phenomenon_time < k.phenomenon_time
        and b.phenomenon_time >= k.phenomenon_time - interval '1 day'
    order by b.phenomenon_time desc
    limit 1
) p;

-- name: copy_positions
copy position (phenomenon_time, received_time, lat, lon, seq, device_id, speed_kmh, course_deg,
               hdop, blade, flag, evaluated, marks)
from stdin (format binary);

-- name: insert_positions
insert into position (phenomenon_time, received_time, lat, lon, seq, device_id, speed_kmh,
                      course_deg, hdop, blade, flag, evaluated, marks)
select * from unnest(%(phenomenon_time)s, %(received_time)s, %(lat)s, %(lon)s, %(seq)s,
                     %(device_id)s, %(speed_kmh)s, %(course_deg)s, %(hdop)s, %(blade)s,
                     %(flag)s, %(evaluated)s, %(marks)s)
on conflict do nothing
returning device_id;

-- name: upsert_latest_position
insert into latest_position as l (device_id, tenant_id, phenomenon_time, received_time, lat, lon,
                                  speed_kmh, course_deg, blade, flag, marks)
select * from unnest(%(device_id)s, %(tenant_id)s, %(phenomenon_time)s, %(received_time)s,
                     %(lat)s, %(lon)s, %(speed_kmh)s, %(course_deg)s, %(blade)s, %(flag)s,
                     %(marks)s)
on conflict (device_id) do update
set phenomenon_time = excluded.phenomenon_time, received_time = excluded.received_time,
    lat = excluded.lat, lon = excluded.lon, speed_kmh = excluded.speed_kmh,
    course_deg = excluded.course_deg, blade = excluded.blade, flag = excluded.flag,
    marks = excluded.marks
where excluded.phenomenon_time >= l.phenomenon_time;
