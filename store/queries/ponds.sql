-- The probes of ponds, and what is derived from their readings.

-- name: probes
-- All datastreams of the pond that a datastream belongs to; a device without a site is a pond of
-- its own. Without a position the town's middle tells when the sun rises well enough.
with hit as (
    select d.device_id, d.site_id from datastream ds join device d using (device_id)
    where ds.datastream_id = %(datastream_id)s and d.kind = 'pond_probe'
)
select ds.datastream_id, d.device_id, d.site_id, d.tenant_id, ds.property, ds.derived,
    coalesce(s.lat, d.lat, t.map_lat) as lat, coalesce(s.lon, d.lon, t.map_lon) as lon,
    l.phenomenon_time as newest
from device d
join tenant t using (tenant_id)
join datastream ds using (device_id)
left join site s on s.site_id = d.site_id
left join latest l using (datastream_id)
where d.kind = 'pond_probe'
    and (d.device_id in (select device_id from hit) or d.site_id in (select site_id from hit))
order by d.device_id, ds.datastream_id;

-- name: add_derived
insert into datastream (tenant_id, device_id, property, unit, derived)
select tenant_id, device_id, %(property)s, %(unit)s, true from device
where device_id = %(device_id)s
on conflict (device_id, property) do nothing
returning datastream_id;

-- name: first_from
select min(first.phenomenon_time)
from unnest(%(datastream_ids)s::integer[]) as ds (datastream_id)
cross join lateral (
    select phenomenon_time from observation
    where datastream_id = ds.datastream_id and phenomenon_time >= %(from_time)s
    order by phenomenon_time limit 1
) as first;

-- name: series
select (extract(epoch from phenomenon_time) * 1000)::bigint, value
from observation
where datastream_id = %(datastream_id)s
    and phenomenon_time >= %(from_time)s and phenomenon_time < %(until_time)s
order by phenomenon_time;

-- name: origins
-- When the readings of a device arrived, and whether in an exercise.
select (extract(epoch from phenomenon_time) * 1000)::bigint,
    (extract(epoch from max(received_time)) * 1000)::bigint, max(marks & %(kept)s)
from observation
where datastream_id = any (%(datastream_ids)s::integer[])
    and phenomenon_time >= %(from_time)s and phenomenon_time < %(until_time)s
group by phenomenon_time
order by phenomenon_time;

-- name: put_derived
insert into observation
    (phenomenon_time, received_time, value, seq, datastream_id, flag, evaluated, marks)
select * from unnest(%(phenomenon_time)s, %(received_time)s, %(value)s, %(seq)s,
                     %(datastream_id)s, %(flag)s, %(evaluated)s, %(marks)s)
on conflict (datastream_id, phenomenon_time) do update
set value = excluded.value, flag = excluded.flag, received_time = excluded.received_time,
    marks = excluded.marks;

-- name: mark_changed_rules
-- Derived datastreams on which was decided before a change of their rules was known: a gateway
-- does this for what it decides on. A state knows milliseconds.
insert into unsettled as u (datastream_id, from_time)
select ds.datastream_id, min(r.valid_from)
from detector_state st
join datastream ds on ds.datastream_id = st.datastream_id and ds.derived
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
join rule r on r.tenant_id = ds.tenant_id and r.property = ds.property
    and date_trunc('milliseconds', r.valid_from) > st.rules_since
    and date_trunc('milliseconds', r.valid_from) <= st.through_time
    and (r.device_id is null or r.device_id = d.device_id)
    and (r.site_id is null or r.site_id = d.site_id)
    and (r.device_kind is null or r.device_kind = d.kind)
    and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
group by ds.datastream_id
order by ds.datastream_id
on conflict (datastream_id) do update
set from_time = least(u.from_time, excluded.from_time), times_marked = u.times_marked + 1;

-- name: thin_checkpoints
-- A settlement leaves a checkpoint each time, and these are settled with each reading: one an hour
-- of the newest day is enough, and one a day before that.
delete from detector_checkpoint c
using (
    select datastream_id, through_time,
        lead(through_time) over w as following, max(through_time) over (partition by datastream_id) as newest
    from detector_checkpoint
    where datastream_id = any (%(datastream_ids)s::integer[])
    window w as (partition by datastream_id order by through_time)
) as k
where c.datastream_id = k.datastream_id and c.through_time = k.through_time
    and k.following is not null
    and case when k.through_time > k.newest - interval '1 day'
        then date_trunc('hour', k.following, 'UTC') = date_trunc('hour', k.through_time, 'UTC')
        else date_trunc('day', k.following, 'UTC') = date_trunc('day', k.through_time, 'UTC') end;

-- name: quiet_until
-- Until when a device's alerts are held back: its probes are out of the water. Null: they are not.
-- A clock that runs ahead cannot hold them longer than the figure says from now.
select least(l.phenomenon_time, now()) + make_interval(secs => l.value * 60.0)
from datastream own
join datastream lift on lift.device_id = own.device_id and lift.derived
    and lift.property = %(lifted_out)s
join latest l on l.datastream_id = lift.datastream_id
where own.datastream_id = %(datastream_id)s and own.property <> %(lifted_out)s
    and l.value > 0 and l.value <> 'NaN'
    and l.phenomenon_time + make_interval(secs => l.value * 60.0) > now();
