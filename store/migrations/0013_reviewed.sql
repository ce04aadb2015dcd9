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
