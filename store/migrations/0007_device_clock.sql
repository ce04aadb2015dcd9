-- What each device's clock did wrong, counted by the gateway with each batch.

create table device_clock (
    device_id    integer primary key references device,
    tenant_id    integer not null references tenant,
    too_early    bigint not null default 0,  -- messages refused: before gateway.earliest_time
    in_future    bigint not null default 0,  -- messages refused: beyond gateway.max_future_s
    suspect      bigint not null default 0,  -- readings stored with the mark CLOCK_SUSPECT
    last_at      timestamptz not null,       -- received time of the newest of them
    last_ahead_s double precision            -- how far ahead of ours that one was; negative: behind
) with (fillfactor = 50);

alter table device_clock enable row level security;
create policy device_clock_town on device_clock to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy device_clock_service on device_clock to mizumori_gateway, mizumori_jobs using (true) with check (true);
grant select on device_clock to mizumori_api, mizumori_grafana;
grant select, insert, update on device_clock to mizumori_gateway;
grant select on device_clock to mizumori_jobs;
