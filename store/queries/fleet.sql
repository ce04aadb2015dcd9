-- What a gateway knows about towns, devices and rules, and the detectors' state.

-- name: towns
select tenant_id, code, training from tenant order by tenant_id;

-- name: devices
select device_id, tenant_id, site_id, code, kind, state, codec, expected_interval_s,
    codec_params
from device order by device_id;

-- name: datastreams
-- What devices send. Derived datastreams are a job's.
select datastream_id, tenant_id, device_id, property from datastream where not derived
order by datastream_id;

-- name: derived
select device_id, property from datastream where derived;

-- name: properties
select d.tenant_id, d.code, array(
    select property from datastream s where s.device_id = d.device_id and not s.derived)
from unnest(%(tenant_id)s::integer[], %(code)s::text[]) as asked (tenant_id, code)
join device d using (tenant_id, code);

-- name: states
select datastream_id, state, revision, (extract(epoch from through_time) * 1000)::bigint
from detector_state where datastream_id = any(%(datastream_ids)s::integer[])
order by datastream_id;

-- name: newest_stored
select datastream_id, (extract(epoch from phenomenon_time) * 1000)::bigint
from latest where datastream_id = any(%(datastream_ids)s::integer[]);

-- name: context
-- The newest readings of each datastream that its state was decided from, oldest first.
select s.datastream_id, o.phenomenon_time, o.value
from detector_state s
cross join lateral (
    select phenomenon_time, value
    from observation
    where datastream_id = s.datastream_id and phenomenon_time <= s.through_time
        and marks & %(decision)s <> %(undecided)s
    order by phenomenon_time desc
    limit %(rows)s
) as o
where s.datastream_id = any(%(datastream_ids)s::integer[])
order by s.datastream_id, o.phenomenon_time;
