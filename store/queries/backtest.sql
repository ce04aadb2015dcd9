-- What a backtest reads. Readings come through the town's view; for the owner, who is of no town,
-- store/backtest.py puts the table in its place: the datastreams are chosen by town before.

-- name: streams
-- The datastreams that a backtest may be asked about, with where they stand.
select ds.datastream_id, d.code as device, s.code as site, ds.property, ds.unit,
    d.expected_interval_s
from datastream ds
join device d on d.device_id = ds.device_id
left join site s on s.site_id = d.site_id
where ds.tenant_id = %(tenant_id)s
    and (%(device)s::text is null or d.code = %(device)s)
    and (%(site)s::text is null or s.code = %(site)s)
order by d.code, ds.property;

-- name: readings
select (extract(epoch from phenomenon_time) * 1000)::bigint, value
from tenant_observation
where datastream_id = %(datastream_id)s
    and phenomenon_time > %(after)s and phenomenon_time < %(stop)s
order by phenomenon_time
limit %(rows)s;

-- name: first
select phenomenon_time from tenant_observation
where datastream_id = %(datastream_id)s
    and phenomenon_time >= %(start)s and phenomenon_time < %(stop)s
order by phenomenon_time
limit 1;

-- name: last
select phenomenon_time from tenant_observation
where datastream_id = %(datastream_id)s
    and phenomenon_time >= %(start)s and phenomenon_time < %(stop)s
order by phenomenon_time desc
limit 1;

-- name: ledger
-- Alerts that stand and touch the range.
select alert_id, datastream_id, onset_time as onset, clear_time as clear, peak_level, peak_value
from alert
where tenant_id = %(tenant_id)s and rule_code = %(code)s
    and datastream_id = any(%(datastream_ids)s::integer[])
    and not withdrawn and merged_into is null
    and onset_time < %(stop)s and (clear_time is null or clear_time >= %(start)s)
order by datastream_id, onset_time;
