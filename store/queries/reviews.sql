-- Datastreams whose readings changed since a job looked at them.

-- name: claim
-- One process at a time does a work; the lock ends with the transaction, or with the process.
select pg_try_advisory_xact_lock(hashtext('mizumori review'), hashtext(%(work)s)) as mine;

-- name: due
select datastream_id, from_time, times_marked from review_due
where work = %(work)s and datastream_id <> all (%(skip)s::integer[])
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
select ds.datastream_id
from datastream own
join device own_device on own_device.device_id = own.device_id
join datastream ds on ds.tenant_id = own.tenant_id and ds.property = own.property
join device d on d.device_id = ds.device_id and d.kind = own_device.kind
where own.datastream_id = %(datastream_id)s and not own.derived and not ds.derived
order by 1;
