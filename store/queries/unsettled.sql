-- Datastreams whose alerts have to be decided anew, and what that takes.

-- name: mark
-- Array parameters of one length. The row lock makes a settlement that has looked already wait or
-- begin again.
insert into unsettled as u (datastream_id, from_time)
select d, min(t) from unnest(%(datastream_id)s, %(from_time)s) as m (d, t) group by d order by d
on conflict (datastream_id) do update
set from_time = least(u.from_time, excluded.from_time), times_marked = u.times_marked + 1;

-- name: waiting
-- Longest waiting first; `settled` are left out.
select datastream_id from unsettled
where datastream_id <> all (%(skip)s::integer[])
order by marked_at, datastream_id
limit %(limit)s;

-- name: count
select count(*) as datastreams, extract(epoch from now() - min(marked_at)) as oldest_s from unsettled;

-- name: look
select u.from_time, u.times_marked, s.revision, s.through_time, s.rules_since, s.state
from unsettled u left join detector_state s using (datastream_id)
where u.datastream_id = %(datastream_id)s;

-- name: make_state
-- A datastream on which nothing was decided has no row to lock.
insert into detector_state (datastream_id, epoch, through_time, rules_since, state)
values (%(datastream_id)s, 0, to_timestamp(0), to_timestamp(0), %(state)s)
on conflict do nothing;

-- name: lock_state
select 1 from detector_state where datastream_id = %(datastream_id)s for update;

-- name: lock_mark
select 1 from unsettled where datastream_id = %(datastream_id)s for update;

-- name: stream
select ds.datastream_id, ds.tenant_id, d.code as device_code, t.code as town_code,
    t.training, d.expected_interval_s
from datastream ds
join device d on d.device_id = ds.device_id
join tenant t on t.tenant_id = ds.tenant_id
where ds.datastream_id = %(datastream_id)s;

-- name: readings
select (extract(epoch from phenomenon_time) * 1000)::bigint, value, marks
from observation
where datastream_id = %(datastream_id)s and phenomenon_time > %(after)s
  and (%(through)s::timestamptz is null or phenomenon_time <= %(through)s)
order by phenomenon_time
limit %(rows)s;

-- name: readings_before
select (extract(epoch from phenomenon_time) * 1000)::bigint, value, marks
from observation
where datastream_id = %(datastream_id)s and phenomenon_time <= %(through)s
order by phenomenon_time desc
limit %(rows)s;

-- name: mark_settled
-- Plain values in the where clause: TimescaleDB then unpacks one segment and not the whole chunk.
update observation set marks = marks | %(settled)s
where datastream_id = %(datastream_id)s and phenomenon_time = any(%(times)s::timestamptz[]);

-- name: write_state
update detector_state
set revision = revision + 1, through_time = %(through_time)s, rules_since = %(rules_since)s,
    state = %(state)s
where datastream_id = %(datastream_id)s;

-- name: done
delete from unsettled where datastream_id = %(datastream_id)s;

-- name: checkpoint_before
-- Not one after which readings were deleted.
select through_time, state from detector_checkpoint
where datastream_id = %(datastream_id)s and through_time < %(before)s
    and through_time >= coalesce((
        select kept_since from reading_horizon where datastream_id = %(datastream_id)s
    ), '-infinity')
order by through_time desc limit 1;

-- name: checkpoint_kept
-- Where readings were deleted: the oldest one after which they are all there, else the one that was
-- made when the last of them were deleted.
select c.through_time, c.state
from detector_checkpoint c join reading_horizon h using (datastream_id)
where datastream_id = %(datastream_id)s
order by c.through_time < h.kept_since, abs(extract(epoch from c.through_time - h.kept_since))
limit 1;

-- name: forget_checkpoint
delete from detector_checkpoint
where datastream_id = %(datastream_id)s and through_time = %(through_time)s;

-- name: mark_for_checkpoint
-- Those whose newest checkpoint is older than so long before their newest reading. The settlement
-- leaves one, and finds nothing else to do.
insert into unsettled (datastream_id, from_time)
select s.datastream_id, s.through_time
from detector_state s
left join lateral (
    select through_time from detector_checkpoint c
    where c.datastream_id = s.datastream_id
    order by through_time desc limit 1
) as newest on true
where s.through_time > to_timestamp(0)
    and coalesce(newest.through_time, '-infinity') < s.through_time - make_interval(secs => %(after_s)s)
    and not exists (select from unsettled u where u.datastream_id = s.datastream_id)
order by newest.through_time nulls first, s.datastream_id
limit %(limit)s
on conflict do nothing;

-- name: forget_checkpoints
delete from detector_checkpoint
where datastream_id = %(datastream_id)s and through_time >= %(from_time)s;

-- name: add_checkpoint
insert into detector_checkpoint (datastream_id, through_time, state)
values (%(datastream_id)s, %(through_time)s, %(state)s)
on conflict (datastream_id, through_time) do update set state = excluded.state;
