-- Who reads which partition. The epoch only grows; whoever holds the highest may write.

-- name: take
-- The upsert creates the row for a town that is new.
insert into intake (tenant_id, partition_no, epoch, holder, taken_at)
select t, p, 1, %(holder)s, now()
from unnest(%(tenant_ids)s, %(partitions)s) as wanted (t, p)
order by t, p
on conflict (tenant_id, partition_no) do update
set epoch = intake.epoch + 1, holder = excluded.holder, taken_at = excluded.taken_at,
    listening_since = null
returning tenant_id, partition_no, epoch, beat_at is not null;

-- name: fence
select tenant_id, partition_no, epoch, holder
from intake
where (tenant_id, partition_no) in (
    select t, p from unnest(%(tenant_ids)s, %(partitions)s) as held (t, p)
)
order by tenant_id, partition_no
for share of intake;
