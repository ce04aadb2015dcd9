-- Figures of one town for monitoring: only what is small, never a count over the readings.

-- name: figures
select
    (select count(*) from datastream) as datastreams,
    (select extract(epoch from now() - max(received_time))::double precision from latest)
        as newest_age_s,
    (select extract(epoch from now() - min(received_time))::double precision from latest)
        as oldest_age_s,
    (select count(*) from alert where clear_time is null and not withdrawn) as open_alerts,
    (select count(*) from quarantine where received_time > now() - interval '1 hour')
        as refused_last_hour;

-- name: links
select coalesce(l.state, 'unknown') as state, count(*) as devices
from device d left join link_state l using (device_id)
where d.state = 'active'
group by 1;
