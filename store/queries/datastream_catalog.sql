-- Datastreams.

-- name: add
insert into datastream (tenant_id, device_id, property, unit)
select tenant_id, device_id, %(property)s, %(unit)s from device
where tenant_id = %(tenant_id)s and code = %(device)s;

-- name: datastreams
select datastream_id, tenant_id, device_id, property, unit, derived
from datastream
where (%(tenant_id)s::integer is null or tenant_id = %(tenant_id)s)
    and (%(device_ids)s::integer[] is null or device_id = any (%(device_ids)s))
order by device_id, datastream_id;
