-- What is kept for how long. Partitions and chunks are behind two functions of the schema's owner,
-- so that these statements serve both engines.

-- name: make_partitions
select make_partitions(%(months_ahead)s);

-- name: oldest
select now() - make_interval(days => %(days)s);

-- name: drop_readings
select drop_readings_before(%(oldest)s);

-- name: drop_revisions
select drop_flag_revisions_before(now() - make_interval(days => %(days)s));

-- name: demand_checkpoints
-- A settlement must not need what is deleted: first a checkpoint at or after it. An hour is more
-- than any lateness bound, before which checkpoints are made.
insert into unsettled (datastream_id, from_time)
select s.datastream_id, s.through_time
from detector_state s
where s.through_time - interval '1 hour' >= %(oldest)s
    and not exists (
        select from detector_checkpoint c
        where c.datastream_id = s.datastream_id and c.through_time >= %(oldest)s
    )
    and exists (
        select from observation o
        where o.datastream_id = s.datastream_id and o.phenomenon_time < %(oldest)s
    )
on conflict do nothing;

-- name: still_needed
-- Datastreams whose settlement is due and needs what would be deleted. One that fails for a week
-- must not fill the disk.
select count(*) from unsettled u
where u.marked_at > now() - interval '7 days'
    and exists (
        select from observation o
        where o.datastream_id = u.datastream_id and o.phenomenon_time < %(oldest)s
    )
    and not exists (
        select from detector_checkpoint c
        where c.datastream_id = u.datastream_id
            and c.through_time >= %(oldest)s and c.through_time < u.from_time
    );

-- name: close_silent
-- Of those that have been silent for so long everything goes: their state is the last checkpoint.
insert into detector_checkpoint (datastream_id, through_time, state)
select datastream_id, through_time, state from detector_state
where through_time > to_timestamp(0) and through_time - interval '1 hour' < %(oldest)s
on conflict (datastream_id, through_time) do update set state = excluded.state
where detector_checkpoint.state <> excluded.state;

-- name: set_horizon
insert into reading_horizon as h (datastream_id, kept_since)
select d.datastream_id, %(oldest)s
from datastream d
where exists (
    select from observation o
    where o.datastream_id = d.datastream_id and o.phenomenon_time < %(oldest)s
)
on conflict (datastream_id) do update set kept_since = greatest(h.kept_since, excluded.kept_since);

-- name: thin_checkpoints
-- The newest eight, and before them the last of each month. None that a settlement may not begin
-- at any more, but for the last.
delete from detector_checkpoint c
using (
    select datastream_id, through_time, kept_since,
        row_number() over (partition by datastream_id order by through_time desc) as place,
        row_number() over (
            partition by datastream_id, date_trunc('month', through_time)
            order by through_time desc
        ) as of_month
    from detector_checkpoint left join reading_horizon using (datastream_id)
) as r
where (c.datastream_id, c.through_time) = (r.datastream_id, r.through_time) and r.place > 1
    and (r.place > 8 and r.of_month > 1 or r.through_time < r.kept_since);

-- name: prune_quarantine
delete from quarantine where received_time < now() - make_interval(days => %(days)s);

-- name: prune_overflow
delete from quarantine_overflow where bucket < now() - make_interval(days => %(days)s);

-- name: prune_outbox
delete from outbox where sent_at < now() - make_interval(days => %(days)s);

-- name: prune_sequences
delete from reading_sequence where phenomenon_time < now() - make_interval(days => %(days)s);

-- name: prune_routers
delete from device_router where heard_at < now() - interval '30 days';

-- name: prune_probes
delete from probe_seen where seen_at < now() - interval '1 day';

-- name: prune_conflicts
delete from conflict where settled_at < now() - make_interval(days => %(days)s);

-- name: prune_position_conflicts
delete from position_conflict where settled_at < now() - make_interval(days => %(days)s);
