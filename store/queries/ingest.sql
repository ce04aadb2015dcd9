-- What the gateway writes in one transaction with each batch. Array parameters are of one length.

-- name: known_values
select k.i, o.value
from unnest(%(datastream_id)s, %(phenomenon_time)s) with ordinality as k (datastream_id, phenomenon_time, i)
join observation o using (datastream_id, phenomenon_time);

-- name: known_positions
select k.i
from unnest(%(device_id)s, %(phenomenon_time)s) with ordinality as k (device_id, phenomenon_time, i)
join position p using (device_id, phenomenon_time);

-- name: copy_observations
copy observation (phenomenon_time, received_time, value, seq, datastream_id, flag, evaluated, marks)
from stdin (format binary);

-- name: insert_observations
insert into observation
    (phenomenon_time, received_time, value, seq, datastream_id, flag, evaluated, marks)
select * from unnest(%(phenomenon_time)s, %(received_time)s, %(value)s, %(seq)s,
                     %(datastream_id)s, %(flag)s, %(evaluated)s, %(marks)s)
on conflict do nothing
returning datastream_id;

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

-- name: claim_sequences
-- A sequence number that comes again after the horizon is a device that began anew.
insert into reading_sequence (device_id, seq, phenomenon_time)
select * from unnest(%(device_id)s, %(seq)s, %(phenomenon_time)s)
on conflict (device_id, seq) do update set phenomenon_time = excluded.phenomenon_time
where reading_sequence.phenomenon_time
      < excluded.phenomenon_time - make_interval(secs => %(horizon_s)s)
returning device_id, seq;

-- name: await_verdicts
-- The spike test's verdict had to wait for the next reading: the one flag that is written over.
update observation o
set flag = v.flag, evaluated = v.evaluated
from unnest(%(datastream_id)s, %(phenomenon_time)s, %(flag)s, %(evaluated)s)
    as v (datastream_id, phenomenon_time, flag, evaluated)
where o.datastream_id = v.datastream_id and o.phenomenon_time = v.phenomenon_time;

-- name: revise_flags
insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated)
select * from unnest(%(datastream_id)s, %(phenomenon_time)s, %(flag)s, %(evaluated)s);

-- name: upsert_latest
insert into latest as l (datastream_id, tenant_id, phenomenon_time, received_time, value, flag,
                         marks, rate_per_h)
select * from unnest(%(datastream_id)s, %(tenant_id)s, %(phenomenon_time)s, %(received_time)s,
                     %(value)s, %(flag)s, %(marks)s, %(rate_per_h)s)
on conflict (datastream_id) do update
set phenomenon_time = excluded.phenomenon_time, received_time = excluded.received_time,
    value = excluded.value, flag = excluded.flag, marks = excluded.marks,
    rate_per_h = excluded.rate_per_h
where excluded.phenomenon_time >= l.phenomenon_time;

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

-- name: mark_rollups
-- The update that changes nothing still locks the row: the rollup job, which deletes it, then
-- waits for our commit and counts our readings.
insert into rollup_dirty (datastream_id, bucket)
select d, date_trunc('hour', t, 'UTC')
from unnest(%(datastream_id)s, %(bucket)s) as dirty (d, t)
order by d, t
on conflict (datastream_id, bucket) do update set marked_at = rollup_dirty.marked_at where false;

-- name: upsert_states
-- The revision must be the one that the state was decided from: else nothing is written.
insert into detector_state (datastream_id, epoch, revision, through_time, rules_since, state)
select * from unnest(%(datastream_id)s, %(epoch)s, %(revision)s, %(through_time)s,
                     %(rules_since)s, %(state)b::bytea[])
on conflict (datastream_id) do update
set epoch = excluded.epoch, state = excluded.state, rules_since = excluded.rules_since,
    through_time = greatest(detector_state.through_time, excluded.through_time)
where detector_state.epoch <= excluded.epoch and detector_state.revision = excluded.revision;

-- name: moved_states
select s.datastream_id
from unnest(%(datastream_id)s, %(revision)s) as k (datastream_id, revision)
join detector_state s using (datastream_id)
where s.revision <> k.revision;

-- name: add_conflicts
insert into conflict (tenant_id, datastream_id, phenomenon_time, received_time, value, seq,
                      payload_hash)
values (%(tenant_id)s, %(datastream_id)s, %(phenomenon_time)s, %(received_time)s, %(value)s,
        %(seq)s, %(payload_hash)s)
on conflict do nothing;

-- name: quarantine
insert into quarantine (tenant_id, received_time, topic, payload, device_code, reason, detail)
values (%(tenant_id)s, %(received_time)s, %(topic)s, %(payload)s, %(device_code)s, %(reason)s,
        %(detail)s);

-- name: count_overflow
insert into quarantine_overflow (tenant_id, device_code, bucket, reason, messages)
values (%(tenant_id)s, %(device_code)s, %(bucket)s, %(reason)s, %(messages)s)
on conflict (tenant_id, device_code, bucket, reason)
do update set messages = quarantine_overflow.messages + excluded.messages;

-- name: see_probe
with seen as (
    insert into probe_seen (nonce, tenant_id) values (%(nonce)s, %(tenant_id)s)
    on conflict (nonce) do update set seen_at = now()
    returning nonce
)
select pg_notify('mizumori_probe', nonce) from seen;

-- name: heard
-- A device that sends is online, unless its last will came after what it sent. Returns the
-- devices whose link changed by it.
with heard (device_id, tenant_id, at) as (
    select * from unnest(%(device_id)s, %(tenant_id)s, %(at)s)
),
before as (
    select h.*, l.state, l.since
    from heard h left join link_state l using (device_id)
),
written as (
    insert into link_state as l (device_id, tenant_id, state, since, last_received_time)
    select device_id, tenant_id, 'online', at, at from heard order by device_id
    on conflict (device_id) do update
    set last_received_time = greatest(l.last_received_time, excluded.last_received_time),
        since = case when l.state = 'online' or l.since > excluded.since then l.since
                     else excluded.since end,
        state = case when l.since > excluded.since then l.state else 'online' end
),
changed as (
    insert into link_event (tenant_id, device_id, state, reason, at)
    select tenant_id, device_id, 'online', 'message', at
    from before where state is distinct from 'online' and (since is null or since <= at)
    returning device_id
)
select device_id from changed;

-- name: link_said
-- What a status message or a last will says. A retained one is what was said last, maybe long ago:
-- that a device is online it only tells of one that nothing, or no more than that it was offline,
-- is known of. Returns a row if the link changed by it.
with said as (
    insert into link_state as l (device_id, tenant_id, state, since)
    values (%(device_id)s, %(tenant_id)s, %(state)s, %(at)s)
    on conflict (device_id) do update set state = excluded.state, since = excluded.since
    where l.state <> excluded.state
      and l.since <= excluded.since
      and (excluded.state = 'online' or l.last_received_time is null
           or l.last_received_time <= excluded.since)
      and (not %(retained)s or excluded.state = 'offline' or l.state in ('offline', 'unknown'))
    returning device_id, tenant_id, state, since
)
insert into link_event (tenant_id, device_id, state, reason, at)
select tenant_id, device_id, state, %(reason)s, since from said
returning device_id;

-- name: notify
select pg_notify(%(channel)s, %(payload)s);
