-- Radio beacons, and who else their routers hear.

-- name: beside
with way as (
    select r.device_id, r.router, count(*) over (partition by r.device_id) as routers,
        l.last_received_time, l.state, d.expected_interval_s
    from device_router r
    join link_state l using (device_id)
    join device d using (device_id)
    where d.state = 'active' and r.heard_at > l.last_received_time - interval '7 days'
)
select device_id, router, last_received_time as last_received, expected_interval_s,
    state = 'silent' as silent
from way
where router in (select router from way where device_id = any (%(device_ids)s::integer[]))
    and (routers = 1 or device_id = any (%(device_ids)s::integer[]))
order by device_id, router;
