-- Messages that could not be decoded or accepted.

-- name: entries
select quarantine_id, tenant_id, received_time, topic, payload, octet_length(payload) as size,
    device_code, reason, detail, replayed_at
from quarantine
where tenant_id = %(tenant_id)s and quarantine_id > %(after)s
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(device)s::text is null or device_code = %(device)s)
    and (not %(waiting)s or replayed_at is null)
order by quarantine_id
limit %(limit)s;

-- name: newest
select quarantine_id, tenant_id, received_time, topic, substring(payload for %(head)s) as payload,
    octet_length(payload) as size, device_code, reason, detail, replayed_at
from quarantine
where tenant_id = %(tenant_id)s and (%(before)s::bigint is null or quarantine_id < %(before)s)
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(device)s::text is null or device_code = %(device)s)
    and (not %(waiting)s or replayed_at is null)
order by quarantine_id desc
limit %(limit)s;

-- name: counts
-- What is beyond a device's rate is counted under its code, or '' where it is none of the town.
with kept as (
    select device_code as device, reason, count(*) filter (where replayed_at is null) as waiting,
        count(replayed_at) as replayed, max(received_time) as newest
    from quarantine
    where tenant_id = %(tenant_id)s
    group by device_code, reason
), beyond as (
    select nullif(device_code, '') as device, reason, sum(messages)::bigint as beyond
    from quarantine_overflow
    where tenant_id = %(tenant_id)s
    group by device_code, reason
)
select coalesce(k.device, b.device) as device, coalesce(k.reason, b.reason) as reason,
    coalesce(waiting, 0) as waiting, coalesce(replayed, 0) as replayed,
    coalesce(beyond, 0) as beyond, newest
from kept k
full join beyond b on k.reason = b.reason and coalesce(k.device, '') = coalesce(b.device, '')
order by coalesce(waiting, 0) + coalesce(beyond, 0) desc, device nulls first, reason;

-- name: waiting
select count(*) from quarantine
where tenant_id = %(tenant_id)s and device_code = %(device)s and replayed_at is null;

-- name: mark_replayed
update quarantine set replayed_at = now() where quarantine_id = any (%(ids)s) and replayed_at is null;

-- name: request_replay
insert into replay_request (tenant_id, device_code) values (%(tenant_id)s, %(device)s)
on conflict do nothing;

-- name: is_requested
select 1 from replay_request where tenant_id = %(tenant_id)s and device_code = %(device)s;

-- name: replay_requests
select t.code, r.device_code
from replay_request r
join tenant t using (tenant_id)
where r.requested_at < now() - interval '3 seconds'
order by r.requested_at
limit 100;

-- name: replay_done
delete from replay_request r using tenant t
where t.tenant_id = r.tenant_id and t.code = %(town)s and r.device_code = %(device)s;

-- name: add
insert into quarantine (tenant_id, received_time, topic, payload, device_code, reason, detail)
values (%(tenant_id)s, %(received_time)s, %(topic)s, %(payload)s, %(device_code)s, %(reason)s,
        %(detail)s);

-- name: count_overflow
insert into quarantine_overflow (tenant_id, device_code, bucket, reason, messages)
values (%(tenant_id)s, %(device_code)s, %(bucket)s, %(reason)s, %(messages)s)
on conflict (tenant_id, device_code, bucket, reason)
do update set messages = quarantine_overflow.messages + excluded.messages;
