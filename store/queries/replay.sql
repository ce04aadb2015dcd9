-- What an alert's transitions rest on, to be decided again.

-- name: transitions
select t.transition_id, t.phenomenon_time, t.from_level, t.to_level, t.value, t.rule_version,
    t.evidence, t.withdrawn_revision is not null as withdrawn, v.reason, a.rule_code,
    a.datastream_id, a.tenant_id, r.kind, r.params
from alert_transition t
join alert a using (alert_id)
join revision v on v.revision_id = t.revision_id
left join rule r on r.tenant_id = a.tenant_id and r.code = a.rule_code and r.version = t.rule_version
where t.alert_id = %(alert_id)s
order by t.phenomenon_time, t.transition_id;

-- name: alert_exists
select exists (select 1 from alert where alert_id = %(alert_id)s);

-- name: readings
select (extract(epoch from phenomenon_time) * 1000)::bigint, value, marks
from observation
where datastream_id = %(datastream_id)s and phenomenon_time = any(%(times)s::timestamptz[]);
