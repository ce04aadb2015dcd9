-- How far each device's clock is ahead of ours. A reading's lead is its phenomenon time minus the
-- time of its receipt: what the clock is ahead, less the way here. So the largest lead in a window
-- is what the clock is ahead for certain; a negative one may be delay as well.

create table clock_lead (
    device_id       integer primary key references device,
    tenant_id       integer not null references tenant,
    window_at       timestamptz not null,       -- beginning of the present window, by received time
    lead_s          double precision not null,  -- largest lead in it so far
    before_at       timestamptz,                -- the window before, of which something was heard
    before_lead_s   double precision,
    drift_s_per_day double precision            -- smoothed over windows; null: not known, or it stepped
) with (fillfactor = 50);

alter table clock_lead enable row level security;
create policy clock_lead_town on clock_lead to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy clock_lead_service on clock_lead to mizumori_gateway, mizumori_jobs using (true) with check (true);
grant select on clock_lead to mizumori_api, mizumori_grafana;
grant select, insert, update on clock_lead to mizumori_gateway;
grant select on clock_lead to mizumori_jobs;

-- Datastreams of which readings were deleted: what is older than this may be gone, so alerts of
-- before are not decided anew. A settlement begins at a checkpoint at or after it.
create table reading_horizon (
    datastream_id integer primary key references datastream,
    kept_since    timestamptz not null
) with (fillfactor = 50);
grant select, insert, update on reading_horizon to mizumori_jobs;
grant select on reading_horizon to mizumori_gateway;
