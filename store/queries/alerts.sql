-- The ledger of alerts as a reader sees it. A level's label is the one valid at the onset, or the
-- oldest where none was yet.

-- name: alerts
select a.alert_id, d.code as device, a.datastream_id, ds.property, ds.unit,
    a.rule_code as rule, a.rule_version, r.kind as rule_kind, r.label_scheme as scheme,
    a.level, l.label_ja, l.label_en, l.colour, l.symbol,
    a.onset_time as onset, a.clear_time as clear, a.peak_level, a.peak_value,
    a.training, a.withdrawn, a.merged_into, s.code as site
from alert a
join datastream ds using (datastream_id)
join device d using (device_id)
left join site s on s.site_id = d.site_id
left join rule r on r.tenant_id = a.tenant_id and r.code = a.rule_code and r.version = a.rule_version
left join lateral (
    select label_ja, label_en, colour, symbol from level_label
    where scheme = r.label_scheme
        and level = case when a.clear_time is null then a.level else a.peak_level end
    order by valid_from <= a.onset_time desc,
        case when valid_from <= a.onset_time then valid_from end desc, valid_from
    limit 1
) l on true
where (%(ids)s::bigint[] is not null or (not a.withdrawn and a.merged_into is null))
    and (%(ids)s::bigint[] is null or a.alert_id = any (%(ids)s))
    and (%(open)s::boolean is null or (a.clear_time is null) = %(open)s)
    and (%(before_onset)s::timestamptz is null
        or (a.onset_time, a.alert_id) < (%(before_onset)s, %(before_id)s::bigint))
order by a.onset_time desc, a.alert_id desc
limit %(limit)s;

-- name: transitions
select t.phenomenon_time as time, t.from_level, t.to_level,
    case when t.value in ('NaN', 'Infinity', '-Infinity') then null else t.value end as value,
    t.rule_version, t.evidence, l.label_ja, l.label_en, l.colour, l.symbol
from tenant_alert_transition t
join alert a using (alert_id)
left join rule r on r.tenant_id = a.tenant_id and r.code = a.rule_code and r.version = t.rule_version
left join lateral (
    select label_ja, label_en, colour, symbol from level_label
    where scheme = r.label_scheme and level = t.to_level
    order by valid_from <= t.phenomenon_time desc,
        case when valid_from <= t.phenomenon_time then valid_from end desc, valid_from
    limit 1
) l on true
where t.alert_id = %(alert_id)s and t.withdrawn_revision is null
order by t.phenomenon_time, t.transition_id;
