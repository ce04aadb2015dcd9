-- Observations of one datastream, raw or in buckets. Every range is half-open: [start, stop);
-- those of buckets begin and end with a whole one.

-- name: datastream
select ds.datastream_id, ds.property, ds.unit, d.code as device
from datastream ds join device d using (device_id)
where ds.datastream_id = %(datastream_id)s;

-- name: raw
-- What is not a number has no value for a reader: its flag says why.
select phenomenon_time as time, flag,
    case when value in ('NaN', 'Infinity', '-Infinity') then null else value end as value
from tenant_observation
where datastream_id = %(datastream_id)s
    and phenomenon_time >= %(start)s and phenomenon_time < %(stop)s
order by phenomenon_time
limit %(limit)s;

-- name: revised
-- Flags that were revised since, of readings in [start, through].
select o.phenomenon_time as time, worse_flag(coalesce(r.given, o.flag), r.found) as flag
from tenant_reviewed_flag r
join tenant_observation o
    on o.datastream_id = %(datastream_id)s and o.phenomenon_time = r.phenomenon_time
        and o.phenomenon_time >= %(start)s and o.phenomenon_time <= %(through)s
where r.datastream_id = %(datastream_id)s
    and r.phenomenon_time >= %(start)s and r.phenomenon_time <= %(through)s;

-- name: ten_minutes
-- A value that failed (flag 4: the sensor cannot measure it) counts as suspect, but not into the
-- values; so it is in the rollups too. What was found later only counts as suspect.
with reading as (
    select date_bin('10 minutes', o.phenomenon_time, 'epoch') as time, o.phenomenon_time,
        worse_flag(coalesce(r.given, o.flag), r.found) as flag,
        case when o.value in ('NaN', 'Infinity', '-Infinity') or o.flag = 4 then null
            else o.value end as value
    from tenant_observation o
    left join tenant_reviewed_flag r on r.datastream_id = %(datastream_id)s
        and r.phenomenon_time >= %(start)s and r.phenomenon_time < %(stop)s
        and r.phenomenon_time = o.phenomenon_time
    where o.datastream_id = %(datastream_id)s
        and o.phenomenon_time >= %(start)s and o.phenomenon_time < %(stop)s
)
select time, count(value)::integer as n,
    (count(*) filter (where flag in (3, 4)))::integer as n_suspect,
    min(value) as min, max(value) as max, avg(value) as mean,
    (array_agg(value order by phenomenon_time desc) filter (where value is not null))[1] as last
from reading
group by time
order by time
limit %(limit)s;

-- name: hours
-- Hours, or days of the town, from the rollups; hours whose rollup is out of date (the present
-- one, and those that late readings touched) from the readings themselves.
with dirty as (
    select bucket from tenant_rollup_dirty
    where datastream_id = %(datastream_id)s
        and bucket >= %(start)s and bucket < %(stop)s
), fresh as (
    select d.bucket, o.phenomenon_time, worse_flag(coalesce(r.given, o.flag), r.found) as flag,
        case when o.value in ('NaN', 'Infinity', '-Infinity') or o.flag = 4 then null
            else o.value end as value
    from dirty d join tenant_observation o
        on o.phenomenon_time >= d.bucket and o.phenomenon_time < d.bucket + interval '1 hour'
    left join tenant_reviewed_flag r on r.datastream_id = %(datastream_id)s
        and r.phenomenon_time >= %(start)s and r.phenomenon_time < %(stop)s
        and r.phenomenon_time = o.phenomenon_time
    where o.datastream_id = %(datastream_id)s
), hour as (
    select bucket, n, n_suspect, value_min, value_max, value_mean, value_last
    from tenant_rollup_hour
    where datastream_id = %(datastream_id)s
        and bucket >= %(start)s and bucket < %(stop)s
        and bucket not in (select bucket from dirty)
    union all
    select bucket, count(value), count(*) filter (where flag in (3, 4)),
        min(value), max(value), avg(value),
        (array_agg(value order by phenomenon_time desc) filter (where value is not null))[1]
    from fresh
    group by bucket
)
select date_trunc(%(unit)s, bucket, %(zone)s) as time, sum(n)::integer as n,
    sum(n_suspect)::integer as n_suspect,
    min(value_min) as min, max(value_max) as max,
    sum(value_mean * n) / nullif(sum(n), 0) as mean,
    (array_agg(value_last order by bucket desc) filter (where value_last is not null))[1] as last
from hour
group by 1
order by 1
limit %(limit)s;
