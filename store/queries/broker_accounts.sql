-- Towns' accounts at the broker, and the devices that may connect to them.

-- name: accounts
select a.tenant_id, t.code, a.partitions, a.window_messages, a.ack_wait_s, a.queue_bytes,
    a.gateway_user, a.gateway_password, a.client_id_secret
from broker_account a
join tenant t using (tenant_id)
order by t.code;

-- name: devices
select t.code, d.code, d.secret_hash
from device d
join tenant t using (tenant_id)
where d.secret_hash is not null and d.state <> 'retired'
order by t.code, d.code;

-- name: towns_without_account
select t.tenant_id, t.code
from tenant t
where not exists (select from broker_account a where a.tenant_id = t.tenant_id)
order by t.code;

-- name: add_account
insert into broker_account (
    tenant_id, partitions, window_messages, ack_wait_s, queue_bytes,
    gateway_user, gateway_password, client_id_secret
) values (
    %(tenant_id)s, %(partitions)s, %(window_messages)s, %(ack_wait_s)s, %(queue_bytes)s,
    %(gateway_user)s, %(gateway_password)s, %(client_id_secret)s
)
on conflict (tenant_id) do nothing;

-- name: probes_seen
select nonce from probe_seen where nonce = any (%(nonces)s);

-- name: town_probe_seen
select 1 from town_probe_seen where nonce = %(nonce)s;

-- name: see_probe
with seen as (
    insert into probe_seen (nonce, tenant_id) values (%(nonce)s, %(tenant_id)s)
    on conflict (nonce) do update set seen_at = now()
    returning nonce
)
select pg_notify('mizumori_probe', nonce) from seen;
