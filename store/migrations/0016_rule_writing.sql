-- Rules are written through the API too, and a narrower scope can be given up again.

-- A version of a site's or a device's rule from which on the wider scope counts there again; its
-- parameters say nothing. Null scopes have nothing wider.
alter table rule add column inherits boolean not null default false
    constraint rule_inherits check (not inherits or site_id is not null or device_id is not null);

create index rule_given_up on rule (tenant_id, code) where inherits;

-- The versions that stand at a time: those that were valid by then and were not given up since.
-- Offset 0: found once for a query, and not for each datastream that it joins them to.
create function rules_at(at timestamptz) returns setof rule language sql stable as $$
    select r.* from rule r
    where r.valid_from <= rules_at.at
        and not exists (
            select from rule g
            where g.inherits and g.valid_from <= rules_at.at
                and g.tenant_id = r.tenant_id and g.code = r.code
                and g.site_id is not distinct from r.site_id
                and g.device_id is not distinct from r.device_id
                and (g.valid_from, g.version) >= (r.valid_from, r.version))
    offset 0
$$;

-- The API writes rules of the town it serves, with a token and not without, for sites and devices
-- that it sees, and never for the past.
create policy rule_insert on rule as restrictive for insert to mizumori_api with check (
    (select writing_token_id()) is not null
    and valid_from >= now()
    and (site_id is null or site_id in (select s.site_id from site s))
    and (device_id is null or device_id in (select d.device_id from device d)));
grant insert (tenant_id, code, version, kind, property, device_kind, site_kinds, site_id, device_id, params, label_scheme, enabled, valid_from, inherits)
    on rule to mizumori_api;
