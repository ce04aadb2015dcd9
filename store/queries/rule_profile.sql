-- The rules of datastreams through time.

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
