-- name: pin
insert into town_role (role_name, tenant_id) values (%(role)s, %(tenant_id)s)
on conflict (role_name) do update set tenant_id = excluded.tenant_id
where town_role.tenant_id <> excluded.tenant_id;

-- name: present
select exists (select from pg_roles where rolname = %(role)s);
