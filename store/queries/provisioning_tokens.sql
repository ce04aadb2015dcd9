-- Tokens for writing through the API.

-- name: add
insert into provisioning_token (tenant_id, name, hash, expires_at)
values (%(tenant_id)s, %(name)s, %(hash)s, now() + %(lifetime)s);

-- name: tokens
select token_id, tenant_id, name, created_at, expires_at, revoked_at,
    (select max(at) from audit a where a.token_id = t.token_id) as last_write,
    revoked_at is null and expires_at > now() as valid
from provisioning_token t
where %(tenant_id)s::integer is null or tenant_id = %(tenant_id)s
order by tenant_id, name, token_id;

-- name: revoke
update provisioning_token set revoked_at = now()
where tenant_id = %(tenant_id)s and name = %(name)s and revoked_at is null;

-- name: present
select set_config('mizumori.token', %(hash)s, true);

-- name: presented
select writer() where writing_token_id() is not null;
