-- Who may see what. The roles themselves are made by store/roles.py, which knows the passwords.
-- Towns are separated by row-level security on ordinary tables, and by security-barrier views
-- over the tables that TimescaleDB keeps as hypertables (it refuses columnstore together with
-- row-level security), whose base tables the API's role cannot read.

-- A database role that belongs to one town for good (a town's Grafana data source).
create table town_role (
    role_name name primary key,
    tenant_id integer not null references tenant
);

-- The API's role says for each transaction which town it serves. A town's own role cannot: it
-- may set the setting, but only its row in town_role counts.
create function visible_tenant_id() returns integer language sql stable as $$
    select case when session_user = 'mizumori_api'
        then nullif(current_setting('mizumori.tenant_id', true), '')::integer
        else (select tenant_id from town_role where role_name = session_user) end
$$;

create view tenant_observation with (security_barrier) as
    select o.* from observation o join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
create view tenant_position with (security_barrier) as
    select p.* from position p join device d using (device_id)
    where d.tenant_id = (select visible_tenant_id());
create view tenant_rollup_hour with (security_barrier) as
    select r.* from rollup_hour r join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
-- Hours whose rollup is out of date: the API reads those from the readings themselves.
create view tenant_rollup_dirty with (security_barrier) as
    select r.* from rollup_dirty r join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
create view tenant_alert_transition with (security_barrier) as
    select t.* from alert_transition t join alert a using (alert_id)
    where a.tenant_id = (select visible_tenant_id());

-- What the API may know of every town: which there are. Only then can it ask for one.
create view town_directory with (security_barrier) as
    select tenant_id, code, name_ja, name_en, time_zone, training, map_lat, map_lon, map_zoom
    from tenant;

-- Whether anybody listens to a town: for the API's word on whether the system is ready.
create view town_listening with (security_barrier) as
    select t.tenant_id, t.code, count(i.tenant_id) as partitions,
        count(*) filter (where i.listening_since is not null and i.beat_at > now() - interval '10 seconds') as listening,
        coalesce(sum(i.waiting), 0) as waiting,
        extract(epoch from now() - min(i.beat_at))::double precision as last_sign_s
    from tenant t left join intake i using (tenant_id)
    group by t.tenant_id, t.code;

-- Row-level security: the API and a town's own role see one town, the services all of them.
alter table tenant enable row level security;
create policy tenant_town on tenant to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy tenant_service on tenant to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table site enable row level security;
create policy site_town on site to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy site_service on site to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table device enable row level security;
create policy device_town on device to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy device_service on device to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table datastream enable row level security;
create policy datastream_town on datastream to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy datastream_service on datastream to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table latest enable row level security;
create policy latest_town on latest to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy latest_service on latest to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table latest_position enable row level security;
create policy latest_position_town on latest_position to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy latest_position_service on latest_position to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table conflict enable row level security;
create policy conflict_town on conflict to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy conflict_service on conflict to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table quarantine enable row level security;
create policy quarantine_town on quarantine to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy quarantine_service on quarantine to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table rule enable row level security;
create policy rule_town on rule to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy rule_service on rule to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table revision enable row level security;
create policy revision_town on revision to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy revision_service on revision to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table alert enable row level security;
create policy alert_town on alert to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy alert_service on alert to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table journal enable row level security;
create policy journal_town on journal to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy journal_service on journal to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table link_state enable row level security;
create policy link_state_town on link_state to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy link_state_service on link_state to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table link_event enable row level security;
create policy link_event_town on link_event to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy link_event_service on link_event to mizumori_gateway, mizumori_jobs using (true) with check (true);

-- A town's role sees its own line: who the other towns' roles are is not its business.
alter table town_role enable row level security;
create policy town_role_own on town_role to mizumori_api, mizumori_grafana using (role_name = session_user);
create policy town_role_service on town_role to mizumori_gateway, mizumori_jobs using (true) with check (true);

grant usage on schema public to mizumori_api, mizumori_grafana, mizumori_gateway, mizumori_jobs;
grant select on schema_version, level_label to mizumori_api, mizumori_grafana, mizumori_gateway, mizumori_jobs;
grant select on town_role to mizumori_api, mizumori_grafana;
grant select on tenant, site, datastream, latest, latest_position, conflict, quarantine, rule, revision, alert, journal, link_state, link_event, tenant_observation, tenant_position, tenant_rollup_hour, tenant_rollup_dirty, tenant_alert_transition to mizumori_api, mizumori_grafana;
-- All of device but the secret's hash.
grant select (device_id, tenant_id, site_id, code, kind, name_ja, name_en, lat, lon, expected_interval_s, state, codec, created_at) on device to mizumori_api, mizumori_grafana;
grant select on town_directory, town_listening to mizumori_api;
grant select, insert, update, delete on all tables in schema public to mizumori_jobs;
grant select, insert, update on all tables in schema public to mizumori_gateway;
grant delete on reading_sequence, probe_seen, rollup_dirty, gateway, intake to mizumori_gateway;
grant usage on sequence intake_epoch to mizumori_gateway;
revoke insert, update on detector_checkpoint from mizumori_gateway;
revoke insert, update, delete on schema_version, town_role, broker_account from mizumori_gateway, mizumori_jobs;
revoke insert, update on tenant, site, device, rule, level_label from mizumori_gateway;
-- What was said and what was decided is never rewritten by a service: it is corrected by appending.
revoke update, delete on journal, link_event, revision, alert_transition, flag_revision from mizumori_gateway, mizumori_jobs;
revoke delete on alert from mizumori_jobs;
grant update (withdrawn_revision, alert_id) on alert_transition to mizumori_gateway, mizumori_jobs;
