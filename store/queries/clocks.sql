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

-- name: write_leads
-- Where a new window begins the one before is closed; half of the drift is that of the last two
-- windows. An older window than the row's is of a gateway that was left behind: it is not written.
insert into clock_lead as c (device_id, tenant_id, window_at, lead_s)
select * from unnest(%(device_id)s, %(tenant_id)s, %(window_at)s, %(lead_s)s) as l (d, t, w, s)
order by d
on conflict (device_id) do update set
    drift_s_per_day = case
        when excluded.window_at = c.window_at or c.before_at is null then c.drift_s_per_day
        when abs(c.lead_s - c.before_lead_s) > %(step_s)s then null
        else (
            select (coalesce(c.drift_s_per_day, slope) + slope) / 2
            from (select (c.lead_s - c.before_lead_s) * 86400
                / extract(epoch from c.window_at - c.before_at)::double precision) as two (slope)
        )
    end,
    before_at = case when excluded.window_at > c.window_at then c.window_at else c.before_at end,
    before_lead_s = case
        when excluded.window_at > c.window_at then c.lead_s else c.before_lead_s
    end,
    lead_s = case
        when excluded.window_at > c.window_at then excluded.lead_s
        else greatest(c.lead_s, excluded.lead_s)
    end,
    window_at = excluded.window_at
where excluded.window_at >= c.window_at;
