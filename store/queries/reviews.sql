-- Datastreams whose readings changed since a job looked at them.

-- name: claim
-- One process at a time does a work; the lock ends with the transaction, or with the process.
select pg_try_advisory_xact_lock(hashtext('mizumori review'), hashtext(%(work)s)) as mine;

-- name: due
select datastream_id, from_time, times_marked from review_due
where work = %(work)s
order by marked_at, datastream_id
limit %(limit)s;

-- name: done
-- Short locks, and last in a transaction: the rollups mark these rows too.
delete from review_due r
using unnest(%(datastream_ids)s::integer[], %(times_marked)s::integer[]) as seen (id, times)
where r.work = %(work)s and r.datastream_id = seen.id and r.times_marked = seen.times;

-- name: mark
insert into review_due (work, datastream_id, from_time)
values (%(work)s, %(datastream_id)s, %(from_time)s)
on conflict (work, datastream_id) do update
set from_time = least(review_due.from_time, excluded.from_time),
    times_marked = review_due.times_marked + 1;

-- name: waiting
select count(*) as datastreams from review_due where work = %(work)s;

-- name: alike
with asked as (
    select distinct ds.tenant_id, ds.property, d.kind
    from datastream ds join device d using (device_id)
    where ds.datastream_id = any (%(datastream_ids)s::integer[])
)
select array_agg(ds.datastream_id order by ds.datastream_id)
from asked a
join datastream ds on ds.tenant_id = a.tenant_id and ds.property = a.property and not ds.derived
join device d on d.device_id = ds.device_id and d.kind = a.kind
group by a.tenant_id, a.property, a.kind
order by 1;
