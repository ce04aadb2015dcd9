-- Rules in versions.

-- name: lock_code
-- Two people who save the same rule get two versions, one after the other.
select pg_advisory_xact_lock(hashtextextended(%(tenant_id)s || '/' || %(code)s, 0));

-- name: now
-- Versions begin by the clock of the database.
select clock_timestamp();

-- name: scope_has_readings
select exists (
    select 1 from latest l
    join datastream ds using (datastream_id)
    join device d on d.device_id = ds.device_id
    where d.tenant_id = %(tenant_id)s and ds.property = %(property)s
        and (%(device_id)s::integer is null or d.device_id = %(device_id)s)
        and (%(site_id)s::integer is null or d.site_id = %(site_id)s)
        and (%(device_kind)s::text is null or d.kind = %(device_kind)s)
);

-- name: scopes_with_readings
-- What a town has readings of: property and kind of device.
select distinct ds.property, d.kind
from latest l
join datastream ds using (datastream_id)
join device d on d.device_id = ds.device_id
where d.tenant_id = %(tenant_id)s;

-- name: save
insert into rule (tenant_id, code, version, kind, property, device_kind, site_kinds, site_id,
    device_id, params, label_scheme, enabled, inherits, valid_from)
select %(tenant_id)s, %(code)s,
    (select coalesce(max(version), 0) + 1 from rule
        where tenant_id = %(tenant_id)s and code = %(code)s),
    %(kind)s, %(property)s, %(device_kind)s, %(site_kinds)s, %(site_id)s, %(device_id)s,
    %(params)s, %(label_scheme)s, %(enabled)s, %(inherits)s,
    -- Not now(): that is when the transaction began, and others have committed since.
    case when %(from_the_beginning)s then to_timestamp(0)
        else greatest(%(valid_from)s::timestamptz, clock_timestamp()) end
returning rule_id, tenant_id, code, version, kind, property, device_kind, site_kinds, site_id,
    device_id, params, label_scheme, enabled, inherits, valid_from;

-- name: versions
select rule_id, tenant_id, code, version, kind, property, device_kind, site_kinds, site_id,
    device_id, params, label_scheme, enabled, inherits, valid_from
from rule
where tenant_id = %(tenant_id)s and (%(code)s::text is null or code = %(code)s)
order by code, version;

-- name: rivals
-- Where, at a time, two rules of one kind hold of which only one counts: a rule and another code.
-- Devices of which nobody has said where they stand have the rules of every kind of site.
with winner as (
    select distinct on (d.device_id, r.code) d.device_id, d.code as device, r.code, r.kind,
        r.enabled
    from device d
    left join datastream ds on ds.device_id = d.device_id and ds.property = %(property)s
    left join site s on s.site_id = d.site_id
    join rules_at(%(at)s) r on r.tenant_id = d.tenant_id and r.property = %(property)s
        and (r.device_id is null or r.device_id = d.device_id)
        and (r.site_id is null or r.site_id = d.site_id)
        and (r.device_kind is null or r.device_kind = d.kind)
        and (r.site_kinds is null or s.kind = any (r.site_kinds))
    where d.tenant_id = %(tenant_id)s
        and (ds.datastream_id is not null or %(property)s = 'link')
    order by d.device_id, r.code,
        (r.device_id is not null) desc, (r.site_id is not null) desc,
        r.valid_from desc, r.version desc
)
select other.code, other.device
from winner own
join winner other using (device_id)
where own.code = %(code)s and own.kind = %(kind)s and own.enabled
    and other.code <> own.code and other.kind = own.kind and other.enabled
order by other.code, other.device
limit 1;
