-- The ledger of alerts as the gateway keeps it, and the journal and outbox rows that go with it.

-- name: alerts_from
-- What stands of a rule at a datastream from a time on: open, or cleared at or after it.
select alert_id, rule_code, rule_version, onset_time, clear_time, level, peak_level, peak_value
from alert
where datastream_id = %(datastream_id)s and rule_code = %(rule_code)s
  and not withdrawn and merged_into is null
  and (clear_time is null or clear_time >= %(from_time)s)
order by onset_time
for update;

-- name: transitions_of
select transition_id, alert_id, phenomenon_time, from_level, to_level, value, rule_version, evidence
from alert_transition
where alert_id = any(%(alert_ids)s::bigint[]) and withdrawn_revision is null
order by phenomenon_time, transition_id;

-- name: add_revision
insert into revision (tenant_id, reason) values (%(tenant_id)s, %(reason)s)
returning revision_id;

-- name: add_alert
insert into alert (tenant_id, datastream_id, rule_code, rule_version, onset_time, clear_time,
                   level, peak_level, peak_value, training, revision_id)
values (%(tenant_id)s, %(datastream_id)s, %(rule_code)s, %(rule_version)s, %(onset_time)s,
        %(clear_time)s, %(level)s, %(peak_level)s, %(peak_value)s, %(training)s, %(revision_id)s)
returning alert_id;

-- name: change_alert
update alert
set onset_time = %(onset_time)s, clear_time = %(clear_time)s, level = %(level)s,
    peak_level = %(peak_level)s, peak_value = %(peak_value)s, rule_version = %(rule_version)s,
    revision_id = %(revision_id)s
where alert_id = %(alert_id)s;

-- name: withdraw_alert
update alert
set withdrawn = true, level = 0, clear_time = coalesce(clear_time, onset_time),
    revision_id = %(revision_id)s
where alert_id = %(alert_id)s;

-- name: merge_alert
update alert
set merged_into = %(merged_into)s, level = 0, clear_time = coalesce(clear_time, onset_time),
    revision_id = %(revision_id)s
where alert_id = %(alert_id)s;

-- name: peak_within
-- The worst value between two times that the instrument can have measured; where readings of then
-- were deleted, also what was known before.
select case when %(falling)s then least(min(value), known.peak) else greatest(max(value), known.peak) end
from (
    select max(%(known)s::double precision) as peak from reading_horizon
    where datastream_id = %(datastream_id)s and kept_since > %(from_time)s
) as known
left join observation on datastream_id = %(datastream_id)s and phenomenon_time >= %(from_time)s
    and (%(to_time)s::timestamptz is null or phenomenon_time <= %(to_time)s)
    and value >= %(low)s and value <= %(high)s and value not in ('NaN', 'Infinity', '-Infinity')
group by known.peak;

-- name: raise_peak
update alert set peak_value = %(value)s where alert_id = %(alert_id)s;

-- name: open_alerts
select a.alert_id, a.datastream_id, a.rule_code, a.peak_value
from alert a
where a.clear_time is null and not a.withdrawn and a.merged_into is null;

-- name: context_before
-- The newest readings that were decided on; taken before the batch is written.
select phenomenon_time, value
from observation
where datastream_id = %(datastream_id)s and marks & %(decision)s <> %(undecided)s
order by phenomenon_time desc
limit %(rows)s;

-- name: add_transition
insert into alert_transition (alert_id, phenomenon_time, from_level, to_level, value, rule_version,
                              evidence, revision_id)
values (%(alert_id)s, %(phenomenon_time)s, %(from_level)s, %(to_level)s, %(value)s,
        %(rule_version)s, %(evidence)s, %(revision_id)s);

-- name: withdraw_transitions
update alert_transition set withdrawn_revision = %(revision_id)s
where transition_id = any(%(transition_ids)s::bigint[]);

-- name: say
insert into journal (tenant_id, alert_id, revision_id, kind, body)
values (%(tenant_id)s, %(alert_id)s, %(revision_id)s, %(kind)s, %(body)s);

-- name: send
insert into outbox (tenant_id, topic, payload, not_before)
values (%(tenant_id)s, %(topic)s, %(payload)s, %(not_before)s);

-- name: wake_outbox
notify mizumori_outbox;
