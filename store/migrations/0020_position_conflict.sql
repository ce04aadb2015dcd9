-- Same device and time, another fix. As `conflict` is for readings: the first stays in position
-- until a job settles the winner.
create table position_conflict (
    conflict_id     bigint generated always as identity primary key,
    tenant_id       integer not null references tenant,
    device_id       integer not null references device,
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    lat             double precision not null,
    lon             double precision not null,
    seq             bigint,
    speed_kmh       real,
    course_deg      real,
    hdop            real,
    blade           boolean,
    marks           smallint not null,
    payload_hash    bytea not null,  -- store.position_conflicts.payload_hashes
    settled_at      timestamptz,
    unique (device_id, phenomenon_time, payload_hash)
);
create index position_conflict_waiting on position_conflict (device_id, phenomenon_time)
    where settled_at is null;

alter table position_conflict enable row level security;
create policy position_conflict_town on position_conflict to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy position_conflict_service on position_conflict to mizumori_gateway, mizumori_jobs using (true) with check (true);
grant select on position_conflict to mizumori_api, mizumori_grafana;
grant select, insert on position_conflict to mizumori_gateway;
grant select, insert, update, delete on position_conflict to mizumori_jobs;
