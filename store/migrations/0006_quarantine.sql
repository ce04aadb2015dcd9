-- Messages beyond the rate at which one device may fill the quarantine: counted, not kept.

create table quarantine_overflow (
    tenant_id   integer not null references tenant,
    device_code text not null,  -- '': none, or no device of the town
    bucket      timestamptz not null,  -- the hour
    reason      text not null,
    messages    bigint not null,
    primary key (tenant_id, device_code, bucket, reason)
);
create index quarantine_device on quarantine (tenant_id, device_code, quarantine_id);

alter table quarantine_overflow enable row level security;
create policy quarantine_overflow_town on quarantine_overflow to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy quarantine_overflow_service on quarantine_overflow to mizumori_gateway, mizumori_jobs using (true) with check (true);
grant select on quarantine_overflow to mizumori_api, mizumori_grafana;
grant select, insert, update on quarantine_overflow to mizumori_gateway;
grant select, insert, update, delete on quarantine_overflow to mizumori_jobs;
