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
