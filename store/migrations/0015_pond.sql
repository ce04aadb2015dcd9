-- Ponds: what is computed from their probes, and alerts that are held back while somebody has
-- lifted the probes out of the water.

-- A message waits until then; those of the same topic that are written meanwhile wait behind it.
alter table outbox add column not_before timestamptz;  -- null: sent at once

-- What is derived from the probes that are there already is computed when the job first runs.
insert into review_due (work, datastream_id, from_time)
select 'pond', ds.datastream_id, date_trunc('hour', l.phenomenon_time, 'UTC')
from datastream ds
join device d using (device_id)
join latest l using (datastream_id)
where d.kind = 'pond_probe' and not ds.derived
on conflict do nothing;
