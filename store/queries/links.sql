-- The link record: a function of received times, never of the ledger.

-- name: clock
select now();

-- name: watched
-- What the silence watch looks at: devices in service, and whether their town was listened to.
select d.device_id, d.tenant_id, t.code as tenant_code, d.code, d.expected_interval_s, t.training,
    l.state, l.since, l.last_received_time, l.router
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
with said (device_id, state, reason, at, seen, router) as (
    select * from unnest(%(device_ids)s::integer[], %(states)s::text[], %(reasons)s::text[],
        %(at)s::timestamptz[], %(seen)s::timestamptz[], %(routers)s::text[])
), written as (
    update link_state l
    set state = s.state, since = case when l.state = s.state then l.since else s.at end,
        router = s.router
    from said s
    where l.device_id = s.device_id and l.since <= s.at
        and (l.state, l.router) is distinct from (s.state, s.router)
        -- A message that came in the meantime has the last word.
        and l.last_received_time is not distinct from s.seen
    returning l.device_id, l.tenant_id, s.state, s.reason, s.at
), noted as (
    insert into link_event (tenant_id, device_id, state, reason, at)
    select tenant_id, device_id, state, reason, at from written
)
select device_id from written order by device_id;

-- name: publish
-- What is said of a device under its retained topic, where that is not so any more. Of one that
-- was never silent nothing is said.
with now_so as (
    select l.device_id, l.tenant_id, l.state, l.since, l.last_received_time, d.code, t.code as town,
        t.training, case when l.state = 'silent' then l.router end as router,
        case when l.state <> 'silent' then 'heard'
            when l.router is null then 'silence' else 'router_outage' end as says
    from link_state l
    join device d using (device_id)
    join tenant t on t.tenant_id = l.tenant_id
    -- While nobody listens, what was said stands.
    where l.state in ('silent', 'online')
), changed as (
    update link_state l
    set said = n.says
    from now_so n
    where n.device_id = l.device_id and coalesce(l.said, 'heard') <> n.says
    returning n.*
)
insert into outbox (tenant_id, topic, payload)
select tenant_id, 'mz/v1/' || town || '/l/' || code, jsonb_build_object(
    'silent', state = 'silent', 'reason', nullif(says, 'heard'), 'router', router,
    'since', to_char(since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'last_received', to_char(last_received_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'training', training)
from changed
order by device_id;

-- name: events
select device_id, state, reason, at
from link_event
where device_id = %(device_id)s
order by at desc, link_event_id desc
limit %(limit)s;

-- name: announce
select pg_notify('mizumori_live', %(payload)s);

-- name: said
-- What a status message or a last will says. A retained one is what was said last, maybe long ago:
-- that a device is online it only tells of one that nothing, or no more than that it was offline,
-- is known of. Returns a row if the link changed by it.
with said as (
    insert into link_state as l (device_id, tenant_id, state, since)
    values (%(device_id)s, %(tenant_id)s, %(state)s, %(at)s)
    on conflict (device_id) do update set state = excluded.state, since = excluded.since
    where l.state <> excluded.state
      and l.since <= excluded.since
      and (excluded.state = 'online' or l.last_received_time is null
           or l.last_received_time <= excluded.since)
      and (not %(retained)s or excluded.state = 'offline' or l.state in ('offline', 'unknown'))
    returning device_id, tenant_id, state, since
)
insert into link_event (tenant_id, device_id, state, reason, at)
select tenant_id, device_id, state, %(reason)s, since from said
returning device_id;
