-- Provisioning: who may write sites and devices through the API, what was changed by whom, and
-- devices that a town had never heard of. See docs/adr/provisioning.md.

-- How many unknown devices a town takes down in a day, each quarantined until a person approves
-- it; 0: none.
alter table tenant add column register_per_day integer not null default 0
    check (register_per_day between 0 and 1000);

-- What was learned of a device that registered itself (store/newcomers.py: Learned); null: a
-- person added it.
alter table device add column learned jsonb;

create table provisioning_token (
    token_id   integer generated always as identity primary key,
    tenant_id  integer not null references tenant,
    name       text not null check (length(name) between 1 and 63 and name = btrim(name)),
    hash       bytea not null unique check (length(hash) = 32),  -- SHA-256 of 128 random bits
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create unique index provisioning_token_name on provisioning_token (tenant_id, name)
    where revoked_at is null;

-- The token of this transaction, null without a valid one of the town that it serves. The API
-- sets mizumori.token to the hash of what the request carries; it cannot read the hashes.
create function writing_token_id() returns integer language sql stable security definer
set search_path = public, pg_temp as $$
    select token_id from provisioning_token
    where hash = decode(nullif(current_setting('mizumori.token', true), ''), 'hex')
        and tenant_id = visible_tenant_id() and revoked_at is null and expires_at > now()
$$;

-- Who writes: the token's name, or who the command line says that it is.
create function writer() returns text language sql stable security definer
set search_path = public, pg_temp as $$
    select coalesce(
        (select name from provisioning_token where token_id = writing_token_id()),
        nullif(current_setting('mizumori.writer', true), ''),
        session_user::text)
$$;
revoke execute on function writing_token_id, writer from public;
grant execute on function writing_token_id, writer to mizumori_api, mizumori_gateway, mizumori_jobs;

-- What was changed of towns, sites, devices and datastreams. Append-only; never a secret.
create table audit (
    audit_id  bigint generated always as identity primary key,
    tenant_id integer not null references tenant,
    at        timestamptz not null default now(),
    writer    text not null default writer(),
    token_id  integer references provisioning_token default writing_token_id(),
    action    text not null,
    subject   text not null,            -- code of the town, site or device
    change    jsonb not null default '{}'  -- the columns that were written
);
create index audit_tenant on audit (tenant_id, audit_id desc);

-- Devices whose refused messages are to come again; a job does it, and deletes the row.
create table replay_request (
    tenant_id    integer not null references tenant,
    device_code  text not null,
    requested_at timestamptz not null default now(),
    primary key (tenant_id, device_code)
);

-- Test publishes of the town that the gateway has seen.
create view town_probe_seen with (security_barrier) as
    select nonce, tenant_id from probe_seen where tenant_id = (select visible_tenant_id());

create index quarantine_waiting on quarantine (tenant_id, reason, device_code) where replayed_at is null;

alter table provisioning_token enable row level security;
alter table audit enable row level security;
create policy audit_town on audit to mizumori_api using (tenant_id = (select visible_tenant_id()));
create policy audit_service on audit to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table replay_request enable row level security;
create policy replay_request_town on replay_request to mizumori_api using (tenant_id = (select visible_tenant_id()));
create policy replay_request_service on replay_request to mizumori_gateway, mizumori_jobs using (true) with check (true);

-- The API writes these tables of the town it serves, with a token and not without.
do $$
declare
    written text;
begin
    foreach written in array array['site', 'device', 'datastream', 'link_state', 'link_event', 'audit', 'replay_request'] loop
        execute format('create policy %I on %I as restrictive for insert to mizumori_api with check ((select writing_token_id()) is not null)', written || '_insert', written);
        execute format('create policy %I on %I as restrictive for update to mizumori_api using ((select writing_token_id()) is not null)', written || '_update', written);
    end loop;
end $$;
grant insert (tenant_id, code, kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes),
    update (kind, name_ja, name_en, lat, lon, close_at_m, crew_minutes) on site to mizumori_api;
grant select (codec_params, learned),
    insert (tenant_id, site_id, code, kind, name_ja, name_en, lat, lon, expected_interval_s, state, codec, codec_params, secret_hash),
    update (site_id, kind, name_ja, name_en, lat, lon, expected_interval_s, state, codec, codec_params, secret_hash) on device to mizumori_api;
grant insert (tenant_id, device_id, property, unit) on datastream to mizumori_api;
grant insert (device_id, tenant_id, state, since) on link_state to mizumori_api;
grant insert (tenant_id, device_id, state, reason, at) on link_event to mizumori_api;
-- Who and when are the table's own defaults: the API cannot say them.
grant insert (tenant_id, action, subject, change) on audit to mizumori_api, mizumori_gateway, mizumori_jobs;
grant select on audit to mizumori_jobs;
grant insert (tenant_id, device_code) on replay_request to mizumori_api;
grant select, delete on replay_request to mizumori_jobs;
grant select on town_probe_seen to mizumori_api;

-- A gateway may take a newcomer down, quarantined and without a secret, and nothing else.
grant insert (tenant_id, code, kind, name_ja, name_en, expected_interval_s, state, learned) on device to mizumori_gateway;
create policy device_newcomer on device as restrictive for insert to mizumori_gateway
    with check (state = 'quarantined' and secret_hash is null and learned is not null);
