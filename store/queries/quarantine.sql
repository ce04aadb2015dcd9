-- Messages that could not be decoded or accepted.

-- name: entries
select quarantine_id, tenant_id, received_time, topic, payload, device_code, reason, detail,
    replayed_at
from quarantine
where tenant_id = %(tenant_id)s and quarantine_id > %(after)s
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(device)s::text is null or device_code = %(device)s)
    and (not %(waiting)s or replayed_at is null)
order by quarantine_id
limit %(limit)s;

-- name: mark_replayed
update quarantine set replayed_at = now() where quarantine_id = any (%(ids)s) and replayed_at is null;

-- name: newest
select quarantine_id, tenant_id, received_time, topic, payload, device_code, reason, detail,
    replayed_at
from quarantine
where tenant_id = %(tenant_id)s and (%(device)s::text is null or device_code = %(device)s)
order by quarantine_id desc
limit %(limit)s;

-- name: overflow
select device_code, max(bucket), sum(messages)::bigint
from quarantine_overflow
where tenant_id = %(tenant_id)s
group by device_code
order by device_code;

-- name: counts
select reason, count(*)::integer as messages
from quarantine
where tenant_id = %(tenant_id)s and replayed_at is null
group by reason
order by reason;
