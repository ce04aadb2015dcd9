-- Fixes. Array parameters are of one length.

-- name: known_positions
select k.i, p.lat, p.lon, p.speed_kmh, p.course_deg, p.hdop, p.blade, coalesce(p.seq, -1),
    p.marks
from unnest(%(device_id)s, %(phenomenon_time)s) with ordinality as k (device_id, phenomenon_time, i)
join position p using (device_id, phenomenon_time);

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
