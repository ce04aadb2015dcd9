-- Operators: a network operator or a network server that speaks for many devices of a town, by
-- HTTP push, by MQTT under topics of its own, or both. See docs/adr/http-push.md.

create table operator (
    operator_id  integer generated always as identity primary key,
    tenant_id    integer not null references tenant,
    -- Its MQTT user is {town}/@{code}; two of these names are taken.
    code         text not null check (code ~ '^[a-z][a-z0-9-]{0,30}$' and code not in ('admin', 'gateway')),
    codec        text not null,             -- it speaks for devices of this codec only
    device_field text not null default '',  -- where a pushed body names its device: end_device_ids.device_id
    topic        text,                      -- application/+/device/{device}/event/up; null: it does not use MQTT
    token_hash   bytea not null unique,     -- SHA-256 of the secret: what an HTTP request is known by
    secret_hash  text,                      -- bcrypt of the same secret, for the broker; null without a topic
    created_at   timestamptz not null default now(),
    revoked_at   timestamptz,
    check ((topic is null) = (secret_hash is null))
);
-- A revoked operator's name is free again.
create unique index operator_code on operator (tenant_id, code) where revoked_at is null;

alter table operator enable row level security;
create policy operator_service on operator to mizumori_gateway using (true);
grant select on operator to mizumori_gateway;

-- Sparkplug B: the newest birth of each edge node and of each device behind it. It says what the
-- aliases of the data after it mean, also to a gateway that was started since.
create table sparkplug_birth (
    tenant_id     integer not null references tenant,
    group_id      text not null,
    edge_id       text not null,
    device_id     text not null,  -- '': the edge node itself
    received_time timestamptz not null,
    payload       bytea not null,
    primary key (tenant_id, group_id, edge_id, device_id)
);

alter table sparkplug_birth enable row level security;
create policy sparkplug_birth_service on sparkplug_birth to mizumori_gateway using (true) with check (true);
create policy sparkplug_birth_replay on sparkplug_birth for select to mizumori_jobs using (true);
grant select, insert, update, delete on sparkplug_birth to mizumori_gateway;
grant select on sparkplug_birth to mizumori_jobs;
