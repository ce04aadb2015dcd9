-- Messages that wait to be sent after the commit that decided them.

-- name: waiting_tenants
select tenant_id, code from tenant t
where exists (
    select 1 from outbox o where o.tenant_id = t.tenant_id and o.sent_at is null
        and (o.not_before is null or o.not_before <= now())
)
order by tenant_id;

-- name: unsent
-- In the order they were written; the messages of one topic are written by one intake at a time.
-- One that is held back holds back those of its topic that come after it.
select outbox_id, topic, payload, retain, created_at
from outbox o
where tenant_id = %(tenant_id)s and sent_at is null
    and (not_before is null or not_before <= now())
    and not exists (
        select 1 from outbox held
        where held.tenant_id = %(tenant_id)s and held.sent_at is null
            and held.not_before > now() and held.topic = o.topic and held.outbox_id < o.outbox_id
    )
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
-- What is held back does not wait.
select count(*) as messages, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age_s
from outbox where sent_at is null and (not_before is null or not_before <= now());
