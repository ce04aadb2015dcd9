-- Messages that could not be decoded or accepted.

-- name: entries
select quarantine_id, tenant_id, received_time, topic, payload, device_code, reason, detail,
    replayed_at
from quarantine
where tenant_id = %(tenant_id)s and quarantine_id > %(after)s
    and (%(reason)s::text is null or reason = %(reason)s)
order by quarantine_id
limit %(limit)s;

-- name: mark_replayed
update quarantine set replayed_at = now() where quarantine_id = any (%(ids)s) and replayed_at is null;

-- name: counts
select reason, count(*)::integer as messages
from quarantine
where tenant_id = %(tenant_id)s and replayed_at is null
group by reason
order by reason;
