-- Two fixes for one device and phenomenon time. In the statements on `position` times and ids are
-- plain values: TimescaleDB then unpacks one segment and not the whole chunk.

-- name: add
insert into position_conflict (tenant_id, device_id, phenomenon_time, received_time, lat, lon, seq,
                               speed_kmh, course_deg, hdop, blade, marks, payload_hash)
select * from unnest(%(tenant_id)s, %(device_id)s, %(phenomenon_time)s, %(received_time)s, %(lat)s,
                     %(lon)s, %(seq)s, %(speed_kmh)s, %(course_deg)s, %(hdop)s, %(blade)s,
                     %(marks)s, %(payload_hash)s)
on conflict do nothing;

-- Waits for other settlements, and for gateways that wait for none to begin.
-- name: lock
select pg_advisory_xact_lock(hashtext('mizumori.position_conflicts'));

-- name: waiting
select distinct tenant_id, device_id, phenomenon_time
from position_conflict
where settled_at is null
order by device_id, phenomenon_time
limit %(limit)s;

-- name: claims
-- What waits, and what stands (its conflict_id is null).
select conflict_id, device_id, %(tenant_id)s::integer,
    (extract(epoch from phenomenon_time) * 1000)::bigint,
    (extract(epoch from received_time) * 1000)::bigint,
    lat, lon, speed_kmh, course_deg, hdop, blade, coalesce(seq, -1), marks
from position_conflict
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s and settled_at is null
union all
select null, device_id, %(tenant_id)s::integer,
    (extract(epoch from phenomenon_time) * 1000)::bigint,
    (extract(epoch from received_time) * 1000)::bigint,
    lat, lon, speed_kmh, course_deg, hdop, blade, coalesce(seq, -1), marks
from position
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: keep_loser
-- What stood in position is not lost when another fix takes its place.
insert into position_conflict (tenant_id, device_id, phenomenon_time, received_time, lat, lon, seq,
                               speed_kmh, course_deg, hdop, blade, marks, payload_hash, settled_at)
values (%(tenant_id)s, %(device_id)s, %(phenomenon_time)s, %(received_time)s, %(lat)s, %(lon)s,
        nullif(%(seq)s::bigint, -1), %(speed_kmh)s, %(course_deg)s, %(hdop)s, %(blade)s, %(marks)s,
        %(payload_hash)s, now())
on conflict (device_id, phenomenon_time, payload_hash) do nothing;

-- name: put_winner
update position
set received_time = %(received_time)s, lat = %(lat)s, lon = %(lon)s,
    seq = nullif(%(seq)s::bigint, -1), speed_kmh = %(speed_kmh)s, course_deg = %(course_deg)s,
    hdop = %(hdop)s, blade = %(blade)s, flag = %(flag)s, evaluated = %(evaluated)s,
    marks = %(marks)s
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: put_number
update position
set seq = nullif(%(seq)s::bigint, -1)
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: drop_latest
delete from latest_position
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: settled
update position_conflict set settled_at = now()
where device_id = %(device_id)s and phenomenon_time = %(phenomenon_time)s
    and conflict_id = any (%(ids)s);

-- name: drop_claims
-- The same fix under a higher number: nothing contradicts.
delete from position_conflict where conflict_id = any (%(ids)s);
