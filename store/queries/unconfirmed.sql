-- Alerts that rest on one reading.

-- name: unconfirmed
-- The newest change of an open alert was a step that was told at once, and no reading since has
-- borne it out: one at which the level that it reached would not end. A missing or failed one says
-- nothing.
select a.alert_id, newest.time
from alert a
join lateral (
    select t.phenomenon_time as time, t.to_level, t.rule_version, t.evidence
    from tenant_alert_transition t
    where t.alert_id = a.alert_id and t.withdrawn_revision is null
    order by t.phenomenon_time desc, t.transition_id desc
    limit 1
) newest on (newest.evidence ->> 'unconfirmed')::boolean
join rule r on r.tenant_id = a.tenant_id and r.code = a.rule_code
    and r.version = newest.rule_version
where a.alert_id = any (%(alert_ids)s::bigint[])
    and a.clear_time is null and not a.withdrawn and a.merged_into is null
    and not exists (
        select from tenant_observation o
        where o.datastream_id = a.datastream_id and o.phenomenon_time > newest.time
            and o.value <> 'NaN' and o.flag not in (4, 9)
            and case when r.params ->> 'direction' = 'falling'
                then o.value < (r.params -> 'levels' -> newest.to_level - 1 ->> 'off')::float8
                else o.value > (r.params -> 'levels' -> newest.to_level - 1 ->> 'off')::float8
            end
    );
