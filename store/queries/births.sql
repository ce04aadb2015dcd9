-- Sparkplug births.

-- name: births
select tenant_id, group_id, edge_id, device_id, received_time, payload
from sparkplug_birth
where tenant_id = %(tenant_id)s and (%(group_id)s::text is null or group_id = %(group_id)s)
order by group_id, edge_id, device_id;

-- name: forget_devices
delete from sparkplug_birth
where tenant_id = %(tenant_id)s and group_id = %(group_id)s and edge_id = %(edge_id)s;

-- name: keep
insert into sparkplug_birth (tenant_id, group_id, edge_id, device_id, received_time, payload)
values (%(tenant_id)s, %(group_id)s, %(edge_id)s, %(device_id)s, %(received_time)s, %(payload)s)
on conflict (tenant_id, group_id, edge_id, device_id) do update
set received_time = excluded.received_time, payload = excluded.payload;
