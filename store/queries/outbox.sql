-- Messages that wait to be sent after the commit that decided them.

-- name: waiting_tenants
select tenant_id, code from tenant t
where exists (select 1 from outbox o where o.tenant_id = t.tenant_id and o.sent_at is null)
order by tenant_id;

-- name: unsent
-- In the order they were written; the messages of one topic are written by one intake at a time.
select outbox_id, topic, payload, retain, created_at
from outbox
where tenant_id = %(tenant_id)s and sent_at is null
order by outbox_id
limit %(limit)s;

-- name: mark_sent
update outbox set sent_at = now() where outbox_id = any (%(ids)s) and sent_at is null;

-- name: add
insert into outbox (tenant_id, topic, payload, retain)
values (%(tenant_id)s, %(topic)s, %(payload)s, %(retain)s);

-- name: announce
select pg_notify('mizumori_outbox', '');

-- name: backlog
select count(*) as messages, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age_s
from outbox where sent_at is null;
