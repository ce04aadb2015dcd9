-- Rules and what their levels are called.

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

-- name: in_scopes
-- The newest version of each rule in each of its scopes; a more specific scope overrides a wider
-- one, also where it switches the rule off there.
select distinct on (r.code, r.device_id, r.site_id, r.device_kind, r.site_kinds)
    r.code, r.version, r.kind, r.property, r.device_kind, r.site_kinds, s.code as site,
    d.code as device, r.params, r.label_scheme, r.enabled, r.valid_from
from rules_at(%(at)s) r
left join site s on s.site_id = r.site_id
left join device d on d.device_id = r.device_id
where r.tenant_id = %(tenant_id)s
order by r.code, r.device_id nulls first, r.site_id nulls first, r.device_kind, r.site_kinds,
    r.valid_from desc, r.version desc;

-- name: in_force
-- The most specific scope wins, within it the newest version; one that is off counts and wins.
-- A rule for some kinds of site also holds where nobody has said at what site a device stands:
-- a device that was just added must not stay without a rule.
select datastream_id, device_id, rule_id, code, version, kind, property, params, label_scheme,
    valid_from
from (
    select distinct on (ds.datastream_id, r.code) ds.datastream_id, ds.device_id, r.rule_id,
        r.code, r.version, r.kind, r.property, r.params, r.label_scheme, r.enabled,
        r.valid_from
    from datastream ds
    join device d on d.device_id = ds.device_id
    left join site s on s.site_id = d.site_id
    join rules_at(%(at)s) r on r.tenant_id = ds.tenant_id and r.property = ds.property
        and (r.device_id is null or r.device_id = d.device_id)
        and (r.site_id is null or r.site_id = d.site_id)
        and (r.device_kind is null or r.device_kind = d.kind)
        and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
    where (%(tenant_id)s::integer is null or ds.tenant_id = %(tenant_id)s)
    order by ds.datastream_id, r.code,
        (r.device_id is not null) desc, (r.site_id is not null) desc,
        r.valid_from desc, r.version desc
) winner
where enabled
order by datastream_id, code;

-- name: link_rules
-- The same for rules that look at a device's link instead of a datastream.
select device_id, rule_id, code, version, kind, property, params, label_scheme
from (
    select distinct on (d.device_id, r.code) d.device_id, r.rule_id,
        r.code, r.version, r.kind, r.property, r.params, r.label_scheme, r.enabled
    from device d
    left join site s on s.site_id = d.site_id
    join rules_at(%(at)s) r on r.tenant_id = d.tenant_id and r.property = 'link'
        and (r.device_id is null or r.device_id = d.device_id)
        and (r.site_id is null or r.site_id = d.site_id)
        and (r.device_kind is null or r.device_kind = d.kind)
        and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
    order by d.device_id, r.code,
        (r.device_id is not null) desc, (r.site_id is not null) desc,
        r.valid_from desc, r.version desc
) winner
where enabled
order by device_id, code;

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

-- name: next_change
select min(valid_from) as at from rule where valid_from > %(at)s;

-- name: add_labels
insert into level_label (scheme, level, valid_from, label_ja, label_en, colour, symbol)
values (%(scheme)s, %(level)s, %(valid_from)s, %(label_ja)s, %(label_en)s, %(colour)s, %(symbol)s)
on conflict do nothing;

-- name: labels
select distinct on (scheme, level) scheme, level, valid_from, label_ja, label_en, colour, symbol
from level_label
where valid_from <= %(at)s
order by scheme, level, valid_from desc;

-- name: covering
-- Every version whose scope covers a datastream, whether it is in force or not; of rules that are
-- or were of some kinds.
select ds.datastream_id, r.code, r.version, r.kind, r.params, r.enabled, r.inherits,
    r.valid_from, r.device_id is not null as of_device, r.site_id is not null as of_site
from datastream ds
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
join rule r on r.tenant_id = ds.tenant_id and r.property = ds.property
    and (r.device_id is null or r.device_id = d.device_id)
    and (r.site_id is null or r.site_id = d.site_id)
    and (r.device_kind is null or r.device_kind = d.kind)
    and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
where ds.datastream_id = any (%(datastream_ids)s::integer[])
    and (%(kinds)s::text[] is null
        or (r.tenant_id, r.code) in (select tenant_id, code from rule where kind = any (%(kinds)s)))
order by ds.datastream_id, r.code, r.version;

-- name: unchanged_since
-- Since when the rules of each datastream are those that are in force: one that was switched off
-- counts too.
select ds.datastream_id, max(r.valid_from)
from datastream ds
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
join rule r on r.tenant_id = ds.tenant_id and r.property = ds.property and r.valid_from <= %(at)s
    and (r.device_id is null or r.device_id = d.device_id)
    and (r.site_id is null or r.site_id = d.site_id)
    and (r.device_kind is null or r.device_kind = d.kind)
    and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
group by ds.datastream_id;

-- name: first_changes
-- The first version of a rule that came into force at each datastream after one time and up to
-- another. Array parameters of one length.
select ds.datastream_id, min(r.valid_from)
from unnest(%(datastream_ids)s::integer[], %(after)s::timestamptz[], %(through)s::timestamptz[])
    as k (datastream_id, after, through)
join datastream ds using (datastream_id)
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
join rule r on r.tenant_id = ds.tenant_id and r.property = ds.property
    and r.valid_from > k.after and r.valid_from <= k.through
    and (r.device_id is null or r.device_id = d.device_id)
    and (r.site_id is null or r.site_id = d.site_id)
    and (r.device_kind is null or r.device_kind = d.kind)
    and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
group by ds.datastream_id;
