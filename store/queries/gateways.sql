-- The gateways that are alive, and what each of them holds. Time is the database's alone.

-- name: named
select gateway_id from gateway where name = %(name)s;

-- name: add
-- Again where it was committed and the line broke before the gateway heard so.
insert into gateway (gateway_id, name) values (%(gateway_id)s, %(name)s)
on conflict (gateway_id) do update set beat_at = clock_timestamp();

-- name: remove
-- Frees what it held: the reference is set to null.
delete from gateway where gateway_id = %(gateway_id)s;

-- name: beat
update gateway g set beat_at = clock_timestamp()
from (select gateway_id, beat_at from gateway where gateway_id = %(gateway_id)s) as before
where g.gateway_id = before.gateway_id
returning extract(epoch from clock_timestamp() - before.beat_at);

-- name: hurry
-- A batch under way holds the rows; the sign of life must not wait for it for long.
set local lock_timeout = '1s';

-- name: see
update intake i set listening_since = s.since, beat_at = now(), waiting = s.waiting
from unnest(%(tenant_ids)s, %(partitions)s, %(epochs)s, %(since)s, %(waiting)s)
    as s (tenant_id, partition_no, epoch, since, waiting)
where i.tenant_id = s.tenant_id and i.partition_no = s.partition_no and i.epoch = s.epoch;

-- name: held
select tenant_id, partition_no, epoch from intake where gateway_id = %(gateway_id)s;

-- name: lay_out
insert into intake (tenant_id, partition_no)
select t, p from unnest(%(tenant_ids)s, %(partitions)s) as unit (t, p)
where not exists (select from intake where tenant_id = t and partition_no = p)
order by t, p
on conflict do nothing;

-- name: clear_away
-- Whoever holds one that is no more gives it up first.
delete from intake
where (tenant_id, partition_no) in (
    select i.tenant_id, i.partition_no
    from intake i left join gateway g using (gateway_id)
    where (i.tenant_id, i.partition_no) not in (
            select t, p from unnest(%(tenant_ids)s, %(partitions)s) as unit (t, p)
        )
        and (i.gateway_id is null
            or g.beat_at <= clock_timestamp() - make_interval(secs => %(patience_s)s))
    for update of i skip locked
);

-- name: forget
delete from gateway g
where g.beat_at < now() - make_interval(secs => %(after_s)s)
    and not exists (select from intake i where i.gateway_id = g.gateway_id);

-- name: members
select g.gateway_id, g.beat_at > clock_timestamp() - make_interval(secs => %(patience_s)s),
    exists (select from intake i where i.gateway_id = g.gateway_id)
from gateway g
order by g.gateway_id;

-- name: holders
select tenant_id, partition_no, gateway_id from intake order by tenant_id, partition_no;

-- name: release
update intake i set gateway_id = null, listening_since = null, waiting = 0
from unnest(%(tenant_ids)s, %(partitions)s, %(epochs)s) as r (tenant_id, partition_no, epoch)
where i.tenant_id = r.tenant_id and i.partition_no = r.partition_no and i.epoch = r.epoch;

-- name: end_transactions
select pg_terminate_backend(pid) from pg_stat_activity
where usename = current_user and application_name = any (%(names)s) and pid <> pg_backend_pid();

-- name: listening
select code, partitions, listening, waiting, last_sign_s from town_listening order by code;

-- name: tell
select pg_notify(%(channel)s, '');
