-- Flags that were given after the fact. Array parameters are of one length.

-- name: append
-- Of what one source finds about each reading: only what differs from its newest word. Where it
-- has said nothing, nothing is wrong: good and not evaluated are then not worth a row.
insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated, source)
select v.datastream_id, v.phenomenon_time, v.flag, v.evaluated, %(source)s
from unnest(%(datastream_id)s, %(phenomenon_time)s, %(flag)s, %(evaluated)s)
    as v (datastream_id, phenomenon_time, flag, evaluated)
left join lateral (
    select r.flag, r.evaluated
    from flag_revision r
    where r.datastream_id = v.datastream_id and r.phenomenon_time = v.phenomenon_time
        and r.source = %(source)s
    order by r.flag_revision_id desc
    limit 1
) newest on true
where case when newest.flag is null then v.flag in (3, 4)
    else (newest.flag, newest.evaluated) is distinct from (v.flag, v.evaluated) end
order by v.datastream_id, v.phenomenon_time
returning datastream_id, phenomenon_time;

-- name: lock
-- Two who append for one source would both find that nothing had been said.
select pg_advisory_xact_lock(hashtext('mizumori flag revision'), hashtext(%(source)s));

-- name: mark_hours
-- The number of suspect readings of an hour counts revised flags. In the order of the keys, as the
-- gateway marks them: nobody waits in a circle.
insert into rollup_dirty (datastream_id, bucket)
select d, t
from (
    select distinct d, date_trunc('hour', t, 'UTC') as t
    from unnest(%(datastream_ids)s::integer[], %(times)s::timestamptz[]) as changed (d, t)
) as hour
order by d, t
on conflict (datastream_id, bucket) do update set marked_at = rollup_dirty.marked_at where false;

-- name: newest
-- The datastreams whose newest reading is among those that were revised, by town.
select l.tenant_id, array_agg(distinct l.datastream_id)
from unnest(%(datastream_ids)s::integer[], %(times)s::timestamptz[]) as changed (d, t)
join latest l on l.datastream_id = changed.d and l.phenomenon_time = changed.t
group by l.tenant_id
order by l.tenant_id;

-- name: standing
-- A source's newest word on each reading of some datastreams from a time on.
select distinct on (datastream_id, phenomenon_time)
    datastream_id, (extract(epoch from phenomenon_time) * 1000)::bigint, flag, evaluated
from flag_revision
where datastream_id = any (%(datastream_ids)s::integer[]) and source = %(source)s
    and phenomenon_time >= %(start)s
order by datastream_id, phenomenon_time, flag_revision_id desc;

-- name: revise
insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated)
select * from unnest(%(datastream_id)s, %(phenomenon_time)s, %(flag)s, %(evaluated)s);
