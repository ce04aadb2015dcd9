-- Readings and positions on TimescaleDB: hypertables with columnstore. Same names, columns and
-- keys as 0002_observation.plain.sql: no query knows the engine. Retention is a setting and is
-- applied by the upkeep job.

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
);

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
);

select create_hypertable('observation', by_range('phenomenon_time', interval '7 days'), create_default_indexes => false);
alter table observation set (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'datastream_id', timescaledb.orderby = 'phenomenon_time');
call add_columnstore_policy('observation', after => interval '14 days');

select create_hypertable('position', by_range('phenomenon_time', interval '7 days'), create_default_indexes => false);
alter table position set (timescaledb.enable_columnstore,
    timescaledb.segmentby = 'device_id', timescaledb.orderby = 'phenomenon_time');
call add_columnstore_policy('position', after => interval '14 days');

-- The same two functions as on plain PostgreSQL, for the upkeep job: chunks make themselves.
create function make_partitions(months_ahead integer) returns integer language sql immutable as 'select 0';

create function drop_readings_before(oldest timestamptz) returns integer
language sql security definer set search_path = public, pg_temp as $$
    select ((select count(*) from drop_chunks('observation', older_than => oldest))
        + (select count(*) from drop_chunks('position', older_than => oldest)))::integer
$$;

revoke execute on function make_partitions, drop_readings_before from public;
grant execute on function make_partitions, drop_readings_before to mizumori_jobs;
