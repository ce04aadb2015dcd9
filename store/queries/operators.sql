-- Operators that speak for many devices of a town.

-- name: by_token
select o.operator_id, o.tenant_id, t.code as tenant_code, o.code, o.codec, o.device_field,
    o.topic, o.created_at
from operator o
join tenant t using (tenant_id)
where o.token_hash = %(token_hash)s and o.revoked_at is null;

-- name: operators
select o.operator_id, o.tenant_id, t.code as tenant_code, o.code, o.codec, o.device_field,
    o.topic, o.created_at
from operator o
join tenant t using (tenant_id)
where o.revoked_at is null and (%(tenant_id)s::integer is null or o.tenant_id = %(tenant_id)s)
order by t.code, o.code;

-- name: add
insert into operator (tenant_id, code, codec, device_field, topic, token_hash, secret_hash)
values (%(tenant_id)s, %(code)s, %(codec)s, %(device_field)s, %(topic)s, %(token_hash)s,
    %(secret_hash)s);

-- name: revoke
update operator set revoked_at = now()
where tenant_id = %(tenant_id)s and code = %(code)s and revoked_at is null;

-- name: at_broker
-- A device that waits for approval has no codec yet that anybody has chosen.
select o.operator_id, t.code, o.code, o.topic, o.secret_hash,
    array(
        select d.code from device d
        where d.tenant_id = o.tenant_id and d.codec <> o.codec
            and d.state not in ('retired', 'quarantined')
        order by d.code),
    coalesce(o.revoked_at > now() - interval '1 minute', false)
from operator o
join tenant t using (tenant_id)
where o.topic is not null and (o.revoked_at is not null) = %(revoked)s
order by t.code, o.code;
