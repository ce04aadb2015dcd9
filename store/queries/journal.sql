-- What was said: append-only.

-- name: append
insert into journal (tenant_id, alert_id, revision_id, kind, audience, body)
values (%(tenant_id)s, %(alert_id)s, %(revision_id)s, %(kind)s, %(audience)s, %(body)s)
returning journal_id, tenant_id, alert_id, revision_id, kind, said_at, audience, body;

-- name: entries
select journal_id, tenant_id, alert_id, revision_id, kind, said_at, audience, body
from journal
where tenant_id = %(tenant_id)s and journal_id > %(after)s
    and (%(kind)s::text is null or kind = %(kind)s)
order by journal_id
limit %(limit)s;

-- name: corrections
-- What late readings changed of an alert after it had been told.
select said_at, (body ->> 'onset')::timestamptz as onset, (body ->> 'clear')::timestamptz as clear,
    (body ->> 'level')::smallint as level
from journal
where tenant_id = %(tenant_id)s and alert_id = %(alert_id)s and kind = 'corrected'
order by journal_id;

-- name: last_link_event
-- The newest entry about the gateway's own listening: what was told last stands.
select body ->> 'event' as event
from journal
where tenant_id = %(tenant_id)s and kind = 'link'
    and body ->> 'event' in ('gateway_outage', 'gateway_back')
order by journal_id desc
limit 1;
