-- Hourly rollups from the hours whose readings changed; equal on both engines.

-- name: pick
-- Locks the hours until the commit: an intake that writes into one of them waits, and marks it
-- anew. The rollup itself is a second statement, since only that sees what was committed before
-- the lock was had.
delete from rollup_dirty
where (datastream_id, bucket) in (
    select datastream_id, bucket from rollup_dirty
    order by datastream_id, bucket
    for update skip locked
    limit %(limit)s
)
returning datastream_id, bucket;

-- name: roll_up
-- A reading that failed (flag 4: outside what the sensor can measure) counts as suspect, but not
-- into the values. What is found later counts as suspect too, and takes no value out: quality
-- control mutes no flood. `offset 0` keeps the condition inside, so that it finds the index.
insert into rollup_hour (datastream_id, bucket, n, n_suspect, value_min, value_max, value_mean,
    value_last)
select k.datastream_id, k.bucket,
    count(*) filter (where o.flag <> 4 and o.value not in ('NaN', 'Infinity', '-Infinity')),
    count(*) filter (where worse_flag(coalesce(r.given, o.flag), r.found) in (3, 4)),
    min(o.value) filter (where o.flag <> 4 and o.value not in ('NaN', 'Infinity', '-Infinity')),
    max(o.value) filter (where o.flag <> 4 and o.value not in ('NaN', 'Infinity', '-Infinity')),
    avg(o.value) filter (where o.flag <> 4 and o.value not in ('NaN', 'Infinity', '-Infinity')),
    (array_agg(o.value order by o.phenomenon_time desc)
        filter (where o.flag <> 4 and o.value not in ('NaN', 'Infinity', '-Infinity')))[1]
from unnest(%(datastream_ids)s::integer[], %(buckets)s::timestamptz[]) as k (datastream_id, bucket)
left join observation o on o.datastream_id = k.datastream_id
    and o.phenomenon_time >= k.bucket and o.phenomenon_time < k.bucket + interval '1 hour'
left join lateral (
    select v.phenomenon_time, v.given, v.found
    from reviewed_flag v
    where v.datastream_id = k.datastream_id and v.phenomenon_time >= k.bucket
        and v.phenomenon_time < k.bucket + interval '1 hour'
    offset 0
) r on r.phenomenon_time = o.phenomenon_time
group by k.datastream_id, k.bucket
on conflict (datastream_id, bucket) do update
set n = excluded.n, n_suspect = excluded.n_suspect, value_min = excluded.value_min,
    value_max = excluded.value_max, value_mean = excluded.value_mean,
    value_last = excluded.value_last;

-- name: mark_reviews
-- What looks at which devices; a derived datastream is looked at by nothing.
insert into review_due (work, datastream_id, from_time)
select w.work, d.datastream_id, min(k.bucket)
from unnest(%(datastream_ids)s::integer[], %(buckets)s::timestamptz[]) as k (datastream_id, bucket)
join datastream d on d.datastream_id = k.datastream_id and not d.derived
join device v using (device_id)
join (values
    ('quality', 'flood_contact'), ('quality', 'flood_level'), ('quality', 'pond_probe'),
    ('flood', 'flood_contact'), ('flood', 'flood_level'), ('pond', 'pond_probe')
) as w (work, device_kind) on w.device_kind = v.kind
group by w.work, d.datastream_id
order by w.work, d.datastream_id
on conflict (work, datastream_id) do update
set from_time = least(review_due.from_time, excluded.from_time),
    times_marked = review_due.times_marked + 1;

-- name: waiting
select count(*) as hours from rollup_dirty;
