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
select o.operator_id, t.code, o.code, o.topic, o.secret_hash
from operator o
join tenant t using (tenant_id)
where o.topic is not null and o.revoked_at is null
order by t.code, o.code;
