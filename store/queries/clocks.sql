-- What devices' clocks did wrong.

-- name: count
insert into device_clock as c (device_id, tenant_id, too_early, in_future, suspect, last_at,
    last_ahead_s)
values (%(device_id)s, %(tenant_id)s, %(too_early)s, %(in_future)s, %(suspect)s,
    to_timestamp(%(last_ms)s::double precision / 1000), %(ahead_s)s)
on conflict (device_id) do update set
    too_early = c.too_early + excluded.too_early,
    in_future = c.in_future + excluded.in_future,
    suspect = c.suspect + excluded.suspect,
    last_ahead_s = case when excluded.last_at >= c.last_at then excluded.last_ahead_s
        else c.last_ahead_s end,
    last_at = greatest(c.last_at, excluded.last_at);
