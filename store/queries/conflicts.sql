-- Two values for one datastream and phenomenon time.

-- name: unsettled
select c.conflict_id, c.tenant_id, c.datastream_id, c.phenomenon_time, c.received_time, c.value,
    c.seq, c.payload_hash, o.value as stored_value, o.seq as stored_seq,
    o.received_time as stored_received_time
from conflict c
left join observation o using (datastream_id, phenomenon_time)
where c.settled_at is null
order by c.datastream_id, c.phenomenon_time, c.conflict_id
limit %(limit)s;

-- name: lock
select pg_try_advisory_xact_lock(hashtext('mizumori.conflicts'));

-- name: keep_loser
-- What stood in observation is not lost when another value takes its place.
insert into conflict (tenant_id, datastream_id, phenomenon_time, received_time, value, seq,
    payload_hash, settled_at)
values (%(tenant_id)s, %(datastream_id)s, %(phenomenon_time)s, %(stored_received_time)s,
    %(stored_value)s, %(stored_seq)s, %(stored_hash)s, now())
on conflict (datastream_id, phenomenon_time, payload_hash) do nothing;

-- name: put_winner
-- Plain values in the where clause: TimescaleDB then unpacks one segment and not the whole chunk.
update observation
set value = %(value)s, seq = %(seq)s, received_time = %(received_time)s,
    flag = %(flag)s, evaluated = %(evaluated)s, marks = marks | %(conflict)s
where datastream_id = %(datastream_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: put_number
update observation
set seq = %(seq)s
where datastream_id = %(datastream_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: put_latest
update latest
set value = %(value)s, received_time = %(received_time)s, flag = %(flag)s,
    marks = marks | %(conflict)s, rate_per_h = null
where datastream_id = %(datastream_id)s and phenomenon_time = %(phenomenon_time)s;

-- name: mark_hour
insert into rollup_dirty (datastream_id, bucket)
values (%(datastream_id)s, date_trunc('hour', %(phenomenon_time)s::timestamptz, 'UTC'))
on conflict (datastream_id, bucket) do update set marked_at = now();

-- name: settled
update conflict set settled_at = now()
where datastream_id = %(datastream_id)s and phenomenon_time = %(phenomenon_time)s
    and conflict_id = any (%(ids)s);

-- name: drop_repeated
-- What stands, and what is there under a higher number too.
delete from conflict c
where c.datastream_id = %(datastream_id)s and c.phenomenon_time = %(phenomenon_time)s
    and c.settled_at is not null
    and (c.value = %(stands)s::double precision or exists (
        select from conflict b
        where b.datastream_id = c.datastream_id and b.phenomenon_time = c.phenomenon_time
            and b.value = c.value and coalesce(b.seq, -1) > coalesce(c.seq, -1)
    ));

-- name: add
insert into conflict (tenant_id, datastream_id, phenomenon_time, received_time, value, seq,
                      payload_hash)
select * from unnest(%(tenant_id)s::integer[], %(datastream_id)s::integer[],
                     %(phenomenon_time)s::timestamptz[], %(received_time)s::timestamptz[],
                     %(value)s::float8[], %(seq)s::bigint[], %(payload_hash)s::bytea[])
on conflict do nothing;
