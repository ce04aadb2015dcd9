-- The newest readings of some datastreams.

-- name: since
select datastream_id, (extract(epoch from phenomenon_time) * 1000)::bigint, value
from tenant_observation
where datastream_id = any (%(datastream_ids)s::integer[]) and phenomenon_time >= %(start)s
    and flag not in (4, 9) and value not in ('NaN', 'Infinity', '-Infinity')
order by datastream_id, phenomenon_time;
