-- Routers (LoRaWAN gateways and the like) between devices and us.

-- name: heard
-- Array parameters of one length, no pair twice.
insert into device_router as r (device_id, tenant_id, router, heard_at)
select device_id, tenant_id, router, heard_at
from unnest(%(device_id)s, %(tenant_id)s, %(router)s::text[], %(heard_at)s)
    as h (device_id, tenant_id, router, heard_at)
order by device_id, router
on conflict (device_id, router) do update set heard_at = excluded.heard_at
where r.heard_at < excluded.heard_at;

-- name: of_devices
-- Those that heard a device in its last week of being heard: while it is silent none is forgotten.
select r.device_id, r.router
from device_router r
join link_state l using (device_id)
join device d using (device_id)
where d.state = 'active' and r.heard_at > l.last_received_time - interval '7 days'
order by r.device_id, r.router;

-- name: lasting
-- Outages that last, and those that are over while a silent device is still put down to them.
select distinct on (o.tenant_id, o.router) o.router_outage_id, o.tenant_id, o.router, o.since,
    o.over_at
from router_outage o
where o.over_at is null or exists (
    select 1 from link_state l
    where l.tenant_id = o.tenant_id and l.router = o.router and l.state = 'silent'
)
order by o.tenant_id, o.router, o.router_outage_id desc;

-- name: out
-- Of the town that asks.
select router, since from router_outage where over_at is null order by since, router;

-- name: begin
insert into router_outage (tenant_id, router, since, told_at)
values (%(tenant_id)s, %(router)s, %(since)s, %(told_at)s);

-- name: over
update router_outage set over_at = %(at)s where router_outage_id = %(router_outage_id)s;
