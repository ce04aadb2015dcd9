-- What a gateway writes with every batch. Each part is an array of a type of its own; an empty one
-- writes nothing.

-- name: types
select typname, oid, typarray
from pg_type
where oid = any ('{batch_lease,batch_state,batch_row,batch_verdict,batch_heard}'::regtype[]);

-- name: write
-- One statement, because what a small batch costs is the way there and back. Its parts see one
-- snapshot and none of what the others write. Whoever writes alerts has the rows of `states` by an
-- earlier statement. What must not be written is refused as an error: the statement is often the
-- whole transaction.
with held as (
    select from intake
    join unnest(%(lease)s::batch_lease[]) using (tenant_id, partition_no, epoch)
    order by tenant_id, partition_no
    for share of intake
),
states as (
    -- The revision must be the one that the state was decided from: else nothing is written.
    insert into detector_state as s (datastream_id, epoch, revision, through_time, rules_since,
                                     state)
    select * from unnest(%(state)s::batch_state[])
    on conflict (datastream_id) do update
    set epoch = excluded.epoch, state = excluded.state, rules_since = excluded.rules_since,
        through_time = greatest(s.through_time, excluded.through_time)
    where s.epoch <= excluded.epoch and s.revision = excluded.revision
    returning datastream_id
),
rows as (
    select * from unnest(%(row)s::batch_row[])
),
stored as (
    insert into observation (phenomenon_time, received_time, value, seq, datastream_id, flag,
                             evaluated, marks)
    select at, received, value, seq, stream, flag, evaluated, marks from rows where not %(stored)s
    on conflict do nothing
    returning datastream_id
),
awaited as (
    -- The spike test's verdict, which has to wait for the next reading: the one flag that is
    -- written over. An upsert, because that finds readings by their keys without a plan, which for
    -- any times would open every chunk of all years. What was deleted meanwhile it inserts, with a
    -- received time that no reading has, and `drop_unreceived` takes it away again.
    insert into observation (phenomenon_time, received_time, value, datastream_id, flag, evaluated)
    select phenomenon_time, '-infinity', 'NaN', datastream_id, flag, evaluated
    from unnest(%(verdict)s::batch_verdict[])
    on conflict (datastream_id, phenomenon_time) do update
    set flag = excluded.flag, evaluated = excluded.evaluated
    returning datastream_id, phenomenon_time, received_time
),
newest as (
    insert into latest as l (phenomenon_time, received_time, value, datastream_id, flag, marks,
                             tenant_id, rate_per_h)
    select distinct on (stream) at, received, value, stream, flag, marks, town, rate
    from rows
    order by stream, at desc
    on conflict (datastream_id) do update
    set phenomenon_time = excluded.phenomenon_time, received_time = excluded.received_time,
        value = excluded.value, flag = excluded.flag, marks = excluded.marks,
        rate_per_h = excluded.rate_per_h
    where excluded.phenomenon_time >= l.phenomenon_time
),
hours as (
    -- The update that changes nothing still locks the row: the rollup job, which deletes it, then
    -- waits for our commit and counts our readings.
    insert into rollup_dirty as h (datastream_id, bucket)
    select distinct stream, date_trunc('hour', at, 'UTC') as hour from rows order by stream, hour
    on conflict (datastream_id, bucket) do update set marked_at = h.marked_at where false
),
heard as (
    select * from unnest(%(heard)s::batch_heard[])
),
link as (
    -- A device that sends is online, unless its last will came after what it sent.
    insert into link_state as l (device_id, tenant_id, state, since, last_received_time)
    select device_id, tenant_id, 'online', at, at from heard order by device_id
    on conflict (device_id) do update
    set last_received_time = greatest(l.last_received_time, excluded.last_received_time),
        since = case when l.state = 'online' or l.since > excluded.since then l.since
                     else excluded.since end,
        state = case when l.since > excluded.since then l.state else 'online' end
),
linked as (
    insert into link_event (tenant_id, device_id, state, reason, at)
    select h.tenant_id, h.device_id, 'online', 'message', h.at
    from heard h
    left join lateral (
        -- `offset 0` keeps the condition inside, so that each finds the index.
        select state, since from link_state where device_id = h.device_id offset 0
    ) l on true
    where l.state is distinct from 'online' and (l.since is null or l.since <= h.at)
    returning tenant_id, device_id
)
select
    case
        when cardinality(%(lease)s) > (select count(*) from held) then refuse_batch('MZ001')
        when cardinality(%(state)s) > (select count(*) from states)
            then refuse_batch('MZ002')
        when not %(stored)s
                and cardinality(%(row)s) > (select count(*) from stored)
            then refuse_batch('MZ003')
    end,
    (
        select drop_unreceived(array_agg(datastream_id), array_agg(phenomenon_time))
        from awaited
        where received_time = '-infinity'
    ),
    (select count(pg_notify('mizumori_live', payload)) from unnest(%(notices)s) as payload),
    (select count(pg_notify('mizumori_live',
        '{"tenant_id":' || tenant_id || ',"links":[' || device_id || ']}')) from linked);
