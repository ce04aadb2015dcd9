-- Flags that jobs give later, readers of them, and which router (LoRaWAN gateway) hears a device.

-- Who gave a revised flag. Each looks at tests of its own and follows what is stored, so that the
-- newest of each stands, whoever came first; a reading's revised flag is the worst of them.
alter table flag_revision add column source text not null default 'gateway'
    check (source in ('gateway', 'quality', 'plateau', 'drift', 'flood', 'pond'));

-- Plateaus and drift are looked for at night, in what the tests of the hour mark for them.
alter table review_due drop constraint review_due_work_check;
alter table review_due add constraint review_due_work_check
    check (work in ('quality', 'plateau', 'drift', 'flood', 'pond'));

-- The worse of two QARTOD flags: fail, suspect, good, not evaluated, missing.
create function worse_flag(one smallint, other smallint) returns smallint language sql immutable as $$
    select case when one = 4 or other = 4 then 4::smallint when one = 3 or other = 3 then 3::smallint
        when one = 1 or other = 1 then 1::smallint when one = 2 or other = 2 then 2::smallint
        else coalesce(one, other) end
$$;

-- Per reading that was looked at again: what stands in place of the flag given in real time (null:
-- that one stands), and the worst that the jobs found.
create view reviewed_flag as
    select datastream_id, phenomenon_time,
        max(flag) filter (where source = 'gateway') as given,
        (array_agg(flag order by array_position(array[4, 3, 1, 2, 9]::smallint[], flag))
            filter (where source <> 'gateway'))[1] as found
    from (
        select distinct on (datastream_id, phenomenon_time, source)
            datastream_id, phenomenon_time, source, flag
        from flag_revision
        order by datastream_id, phenomenon_time, source, flag_revision_id desc
    ) newest
    group by datastream_id, phenomenon_time;
create view tenant_reviewed_flag with (security_barrier) as
    select r.* from reviewed_flag r join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
grant select on reviewed_flag to mizumori_jobs;
grant select on tenant_reviewed_flag to mizumori_api, mizumori_grafana;

-- Revisions go with their readings. They are appended to and never deleted by a service, but for
-- this: those before a time whose reading is gone.
create function drop_flag_revisions_before(oldest timestamptz) returns integer
language sql security definer set search_path = public, pg_temp as $$
    with gone as (
        delete from flag_revision r
        where r.phenomenon_time < oldest and not exists (
            select 1 from observation o
            where o.datastream_id = r.datastream_id and o.phenomenon_time = r.phenomenon_time
        )
        returning 1
    )
    select count(*)::integer from gone
$$;
revoke execute on function drop_flag_revisions_before from public;
grant execute on function drop_flag_revisions_before to mizumori_jobs;

-- Which routers (network gateways) have heard a device, learned from what its messages say of
-- their way. Written when a router is new to a device, and otherwise every few hours.
create table device_router (
    device_id integer not null references device,
    tenant_id integer not null,
    router    text not null,
    heard_at  timestamptz not null,  -- received time of a message that it passed on, hours old at most
    primary key (device_id, router)
) with (fillfactor = 50);

-- Outages of routers: a part of the link record, judged on received times.
create table router_outage (
    router_outage_id bigint generated always as identity primary key,
    tenant_id        integer not null references tenant,
    router           text not null,
    since            timestamptz not null,  -- when it was last heard through
    told_at          timestamptz not null,
    over_at          timestamptz            -- null: it lasts
);
create unique index router_outage_lasting on router_outage (tenant_id, router) where over_at is null;

alter table link_state add column router text;  -- silent: the router to whose outage it is put down
alter table link_state add column said text;    -- what the retained topic says; null: nothing was ever said
alter table link_event drop constraint link_event_reason_check;
alter table link_event add constraint link_event_reason_check check (reason in
    ('message', 'status', 'will', 'silence', 'gateway_outage', 'router_outage', 'created'));

alter table device_router enable row level security;
create policy device_router_town on device_router to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy device_router_service on device_router to mizumori_gateway, mizumori_jobs using (true) with check (true);
alter table router_outage enable row level security;
create policy router_outage_town on router_outage to mizumori_api, mizumori_grafana using (tenant_id = (select visible_tenant_id()));
create policy router_outage_service on router_outage to mizumori_jobs using (true) with check (true);
grant select on device_router, router_outage to mizumori_api, mizumori_grafana;
grant select, insert, update on device_router to mizumori_gateway;
grant select, delete on device_router to mizumori_jobs;
grant select, insert, update on router_outage to mizumori_jobs;
