-- Devices that registered themselves.

-- name: lock
select pg_advisory_xact_lock(hashtext('mizumori.register'), %(tenant_id)s);

-- name: register
insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s, state, learned)
select tenant_id, %(code)s, %(kind)s, %(code)s, %(code)s, %(expected_interval_s)s, 'quarantined',
    %(learned)s
from tenant t
where tenant_id = %(tenant_id)s and register_per_day > (
    select count(*) from device d
    where d.tenant_id = t.tenant_id and d.learned is not null
        and d.created_at > now() - interval '24 hours')
on conflict do nothing;

-- name: is_there
select 1 from device where tenant_id = %(tenant_id)s and code = %(code)s;

-- name: registered_today
select count(*) from device
where tenant_id = %(tenant_id)s and learned is not null
    and created_at > now() - interval '24 hours';

-- name: has_link
select 1 from link_state join device using (device_id)
where device.tenant_id = %(tenant_id)s and code = %(code)s;

-- name: waiting
select count(*) from device where tenant_id = %(tenant_id)s and state = 'quarantined';
