-- Who reads which partition. Epochs only grow, over all partitions; the one in the row may write.

-- name: take
-- Only what is free, or whose holder has given no sign of life for too long. What somebody has
-- locked just now waits for another look.
with free as (
    select i.tenant_id, i.partition_no
    from intake i
    left join gateway g using (gateway_id)
    where (i.tenant_id, i.partition_no) in (
            select t, p from unnest(%(tenant_ids)s, %(partitions)s) as wanted (t, p)
        )
        and (i.gateway_id is null
            or g.beat_at <= clock_timestamp() - make_interval(secs => %(patience_s)s))
    for update of i skip locked
)
update intake i
set epoch = nextval('intake_epoch'), gateway_id = %(gateway_id)s, holder = %(holder)s,
    taken_at = now(), listening_since = null, waiting = 0
from free f
where i.tenant_id = f.tenant_id and i.partition_no = f.partition_no
returning i.tenant_id, i.partition_no, i.epoch, i.beat_at is not null;

-- name: fence
select tenant_id, partition_no, epoch, holder
from intake
where (tenant_id, partition_no) in (
    select t, p from unnest(%(tenant_ids)s, %(partitions)s) as held (t, p)
)
order by tenant_id, partition_no
for share of intake;
