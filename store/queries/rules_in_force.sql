-- Which version of a rule applies where.

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

-- name: of_datastreams
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

-- name: of_links
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

-- name: next_change
select min(valid_from) as at from rule where valid_from > %(at)s;

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

-- name: undecided_changes
-- Where readings are stored that were not decided on by the rules of their time, and the first
-- change that they were not decided by. `rules_since` is when the rules of each datastream that
-- hold now began, in milliseconds as a detector state has it, `known_since` when those did that were
-- known until now (1970: nobody knows). What was decided on is told by the state; what no rule was
-- there for may be any reading after a change that was heard of late, and before the next one if
-- that left no rule. Array parameters of one length.
select k.datastream_id, min(v.begins)
from unnest(%(datastream_ids)s::integer[], %(rules_since)s::timestamptz[],
    %(known_since)s::timestamptz[], %(ruled)s::boolean[])
    as k (datastream_id, rules_since, known_since, ruled)
join datastream ds using (datastream_id)
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
left join detector_state st on st.datastream_id = k.datastream_id
left join latest l on l.datastream_id = k.datastream_id
join rule r on r.tenant_id = ds.tenant_id and r.property = ds.property
    and (r.device_id is null or r.device_id = d.device_id)
    and (r.site_id is null or r.site_id = d.site_id)
    and (r.device_kind is null or r.device_kind = d.kind)
    and (r.site_kinds is null or s.kind is null or s.kind = any (r.site_kinds))
cross join date_trunc('milliseconds', r.valid_from) as v (begins)
where coalesce(st.rules_since, to_timestamp(0)) < k.rules_since
    and v.begins > coalesce(st.rules_since, to_timestamp(0)) and v.begins <= k.rules_since
group by k.datastream_id, k.rules_since, k.ruled, st.through_time, l.phenomenon_time
having st.through_time >= min(v.begins)
    or l.phenomenon_time >= k.rules_since and k.ruled
    or l.phenomenon_time >= min(v.begins) filter (where v.begins > k.known_since)
        and exists (
            select from observation o
            where o.datastream_id = k.datastream_id and o.phenomenon_time < k.rules_since
                and o.phenomenon_time >= min(v.begins) filter (
                    where v.begins > k.known_since and (r.enabled or r.inherits)
                )
        );
