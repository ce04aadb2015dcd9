-- Doubts about alerts.

-- name: doubts
-- By the newest word of a street's review on each reading; a suspect one names the tests that
-- object to it.
select a.alert_id, t.test, min(newest.phenomenon_time) as first, max(newest.phenomenon_time) as last
from alert a
join lateral (
    select distinct on (r.phenomenon_time) r.phenomenon_time, r.flag, r.evaluated
    from tenant_flag_revision r
    where r.datastream_id = a.datastream_id and r.source = 'flood'
        and r.phenomenon_time >= a.onset_time
        and r.phenomenon_time <= coalesce(a.clear_time, 'infinity')
    order by r.phenomenon_time, r.flag_revision_id desc
) newest on newest.flag = 3
join unnest(%(tests)s::integer[]) with ordinality as t (test, place)
    on newest.evaluated & t.test <> 0
where a.alert_id = any (%(alert_ids)s::bigint[])
group by a.alert_id, t.test, t.place
order by a.alert_id, t.place;
