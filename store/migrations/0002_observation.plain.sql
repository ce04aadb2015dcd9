-- Readings and positions on plain PostgreSQL: range partitions by month, made ahead by a job;
-- the default partition takes what lies outside them (old recordings). Same names, columns and
-- keys as 0002_observation.timescale.sql: no query knows the engine.

create table observation (
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    value           double precision not null,  -- NaN: the device reported a missing value
    seq             bigint,                     -- the device's own sequence number
    datastream_id   integer not null,
    flag            smallint not null check (flag in (1, 2, 3, 4, 9)),  -- QARTOD
    evaluated       smallint not null default 0,  -- bit mask of the tests that were evaluated
    marks           smallint not null default 0,  -- bit mask: see store/marks.py
    primary key (datastream_id, phenomenon_time)
) partition by range (phenomenon_time);
create table observation_default partition of observation default;

create table position (
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    lat             double precision not null,
    lon             double precision not null,
    seq             bigint,
    device_id       integer not null,
    speed_kmh       real,
    course_deg      real,
    hdop            real,
    blade           boolean,  -- down = true; null: the device has no blade switch
    flag            smallint not null check (flag in (1, 2, 3, 4, 9)),
    evaluated       smallint not null default 0,
    marks           smallint not null default 0,
    primary key (device_id, phenomenon_time)
) partition by range (phenomenon_time);
create table position_default partition of position default;

-- Partitions and retention are changes of the schema, which take its owner: these functions are
-- what the upkeep job may do of it, and no more.

-- Make the monthly partitions from the present month on; returns how many are new. Readings that
-- the default partition holds for a month (a clock that ran ahead) move into it.
create function make_partitions(months_ahead integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    parent text;
    month  timestamp;
    child  text;
    bounds text;
    made   integer := 0;
begin
    foreach parent in array array['observation', 'position'] loop
        for step in 0 .. least(months_ahead, 24) loop
            month := date_trunc('month', now() at time zone 'UTC') + make_interval(months => step);
            child := parent || to_char(month, '"_y"YYYY"m"MM');
            continue when to_regclass(child) is not null;
            execute format('lock table %I in access exclusive mode', parent || '_default');
            execute format('create table %I (like %I including all)', child, parent);
            bounds := format('phenomenon_time >= %L and phenomenon_time < %L',
                month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
            execute format('with moved as (delete from %I where %s returning *) insert into %I select * from moved',
                parent || '_default', bounds, child);
            execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, child,
                month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
            made := made + 1;
        end loop;
    end loop;
    return made;
end $$;

-- Drop the partitions that lie wholly before a time, and delete what is older in the default
-- partition; returns the number of partitions dropped.
create function drop_readings_before(oldest timestamptz) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    parent  text;
    child   text;
    dropped integer := 0;
begin
    foreach parent in array array['observation', 'position'] loop
        for child in
            select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
            where inhparent = parent::regclass and relname ~ '_y[0-9]{4}m[0-9]{2}$'
        loop
            continue when (to_date(right(child, 7), 'YYYY"m"MM') + interval '1 month') at time zone 'UTC' > oldest;
            execute format('drop table %I', child);
            dropped := dropped + 1;
        end loop;
        execute format('delete from %I where phenomenon_time < %L', parent || '_default', oldest);
    end loop;
    return dropped;
end $$;

revoke execute on function make_partitions, drop_readings_before from public;
grant execute on function make_partitions, drop_readings_before to mizumori_jobs;
select make_partitions(3);
