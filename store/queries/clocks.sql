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
-- `before_at` is the window that the line began with on which the closed ones lie since. Where a new
-- window begins, the one before it is closed: it goes on with the line, which moves on when it is
-- long enough, or begins another together with the last one on it. An older window than the row's is
-- of a gateway that was left behind: it is not written.
insert into clock_lead as c (device_id, tenant_id, window_at, lead_s)
select * from unnest(%(device_id)s, %(tenant_id)s, %(window_at)s, %(lead_s)s) as l (d, t, w, s)
order by d
on conflict (device_id) do update set
    (before_at, before_lead_s, drift_s_per_day) = (
        select
            case closed
                when 'not yet' then c.before_at
                when 'is the first' then c.window_at
                when 'goes on' then c.window_at - least(age, %(line)s - 1) * %(window)s
                when 'turns' then c.window_at - %(window)s
            end,
            case closed
                when 'not yet' then c.before_lead_s
                when 'is the first' then c.lead_s
                when 'goes on' then c.lead_s - least(age, %(line)s - 1) * slope_s
                when 'turns' then last_s
            end,
            case closed
                when 'not yet' then c.drift_s_per_day
                when 'goes on' then slope_s / window_days
                when 'turns' then (c.lead_s - last_s) / window_days
            end
        from (
            select *, case
                when excluded.window_at = c.window_at then 'not yet'
                when excluded.window_at > c.window_at + %(window)s then 'was the last'
                when c.before_at is null then 'is the first'
                when abs(c.lead_s - last_s - known_s) > %(most_s)s + %(share)s * abs(slope_s)
                    then 'turns'
                else 'goes on'
            end as closed
            from (select extract(epoch from %(window)s)::double precision / 86400) as w (window_days)
            -- In windows; slopes are of a window, `last_s` is the line at the last one on it.
            cross join lateral (select extract(epoch from c.window_at - c.before_at)
                ::double precision / 86400 / window_days, c.drift_s_per_day * window_days
            ) as line (age, known_s)
            cross join lateral (select (c.lead_s - c.before_lead_s) / age,
                c.before_lead_s + known_s * (age - 1)) as point (slope_s, last_s)
        ) as place
    ),
    lead_s = case
        when excluded.window_at > c.window_at then excluded.lead_s
        else greatest(c.lead_s, excluded.lead_s)
    end,
    window_at = excluded.window_at
where excluded.window_at >= c.window_at;
