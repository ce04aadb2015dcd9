-- The link record: a function of received times, never of the ledger.

-- name: clock
select now();

-- name: watched
-- What the silence watch looks at: devices in service, and whether their town was listened to.
select d.device_id, d.tenant_id, t.code as tenant_code, d.code, d.expected_interval_s, t.training,
    l.state, l.since, l.last_received_time
from device d
join tenant t using (tenant_id)
join link_state l using (device_id)
where d.state = 'active'
order by d.tenant_id, d.device_id;

-- name: listening
-- Per town: since when every intake has been listening without a break, and the last sign of life
-- of the one that gave none for longest.
select t.tenant_id,
    case when bool_and(i.listening_since is not null) then max(i.listening_since) end as since,
    min(coalesce(i.beat_at, to_timestamp(0))) as beat_at
from tenant t
left join intake i using (tenant_id)
group by t.tenant_id;

-- name: change
-- Changes that were known already, or that are older than what is known, change nothing.
with said (device_id, state, reason, at, seen) as (
    select * from unnest(%(device_ids)s::integer[], %(states)s::text[], %(reasons)s::text[],
        %(at)s::timestamptz[], %(seen)s::timestamptz[])
), written as (
    update link_state l
    set state = s.state, since = s.at
    from said s
    where l.device_id = s.device_id and l.state <> s.state and l.since <= s.at
        -- A message that came in the meantime has the last word.
        and l.last_received_time is not distinct from s.seen
    returning l.device_id, l.tenant_id, s.state, s.reason, s.at
), noted as (
    insert into link_event (tenant_id, device_id, state, reason, at)
    select tenant_id, device_id, state, reason, at from written
)
select device_id from written order by device_id;

-- name: events
select device_id, state, reason, at
from link_event
where device_id = %(device_id)s
order by at desc, link_event_id desc
limit %(limit)s;

-- name: announce
select pg_notify('mizumori_live', %(payload)s);
