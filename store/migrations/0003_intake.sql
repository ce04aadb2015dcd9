-- What the gateway writes with each batch, beside the readings themselves.

-- Newest value per datastream and newest fix per device, newest by phenomenon time.
create table latest (
    datastream_id   integer primary key references datastream,
    tenant_id       integer not null,
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    value           double precision not null,
    flag            smallint not null,
    marks           smallint not null default 0,
    rate_per_h      double precision  -- guarded slope, unit per hour; null: not evaluated
) with (fillfactor = 50);

create table latest_position (
    device_id       integer primary key references device,
    tenant_id       integer not null,
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    lat             double precision not null,
    lon             double precision not null,
    speed_kmh       real,
    course_deg      real,
    blade           boolean,
    flag            smallint not null,
    marks           smallint not null default 0
) with (fillfactor = 50);

-- Identity of readings that came without a device time: (device, sequence number).
create table reading_sequence (
    device_id       integer not null references device,
    seq             bigint not null,
    phenomenon_time timestamptz not null,
    primary key (device_id, seq)
);

-- Same identity, other value. The first stays in observation until a job settles the winner.
create table conflict (
    conflict_id     bigint generated always as identity primary key,
    tenant_id       integer not null references tenant,
    datastream_id   integer not null references datastream,
    phenomenon_time timestamptz not null,
    received_time   timestamptz not null,
    value           double precision not null,
    seq             bigint,
    payload_hash    bytea not null,  -- store.conflicts.payload_hash
    settled_at      timestamptz,
    unique (datastream_id, phenomenon_time, payload_hash)
);

-- A flag given in real time is never rewritten. What a reading that came late changed about its
-- neighbours' flags stands here, the newest last.
create table flag_revision (
    flag_revision_id bigint generated always as identity primary key,
    datastream_id    integer not null references datastream,
    phenomenon_time  timestamptz not null,
    flag             smallint not null,
    evaluated        smallint not null,
    revised_at       timestamptz not null default now()
);
create index flag_revision_reading on flag_revision (datastream_id, phenomenon_time);

-- What could not be decoded or accepted, kept with its reason.
create table quarantine (
    quarantine_id bigint generated always as identity primary key,
    tenant_id     integer references tenant,
    received_time timestamptz not null,
    topic         text not null,
    payload       bytea not null,
    device_code   text,
    reason        text not null,  -- gateway/reasons.py names them
    detail        text not null default '',
    replayed_at   timestamptz
);
create index quarantine_tenant_time on quarantine (tenant_id, received_time desc);

-- The gateway processes. They share the partitions of all towns; see docs/adr/many-gateways.md.
create table gateway (
    gateway_id text primary key,  -- one process; another one with each start
    name       text not null unique,
    started_at timestamptz not null default now(),
    beat_at    timestamptz not null default now()
) with (fillfactor = 50);

-- Who reads a partition. Every gateway transaction checks its epoch: a frozen gateway that wakes
-- up after a hand-over finds a higher one and can write nothing.
create sequence intake_epoch;
create table intake (
    tenant_id    integer not null references tenant,
    partition_no smallint not null,
    epoch        bigint not null default 0,
    gateway_id   text references gateway on delete set null,  -- null: free to take
    holder       text not null default '',  -- the gateway's name, for people
    taken_at     timestamptz not null default now(),
    -- Silence is only judged while we listened: connected and subscribed, said again every few seconds.
    listening_since timestamptz,  -- null: not listening
    beat_at         timestamptz,
    waiting         integer not null default 0,  -- messages in the gateway's memory
    primary key (tenant_id, partition_no)
) with (fillfactor = 50);

-- The detector's tail state per datastream: what the last samples alone cannot restore.
-- Whoever writes alerts of a datastream locks its row first, then its row in unsettled.
create table detector_state (
    datastream_id integer primary key references datastream,
    epoch         bigint not null,
    -- Counts settlements: a gateway that goes on from an older state writes nothing, and reads it anew.
    revision      bigint not null default 0,
    through_time  timestamptz not null,  -- newest phenomenon time the state includes
    rules_since   timestamptz not null default to_timestamp(0),  -- since when the rules hold under which it was written
    state         bytea not null
) with (fillfactor = 50);

-- Datastreams whose alerts do not follow from what is stored yet: readings came too late to be
-- decided on, a conflict put another value in place, a rule was there before the gateway knew it.
-- A job decides anew from from_time on, and deletes the row.
create table unsettled (
    datastream_id integer primary key references datastream,
    from_time     timestamptz not null,       -- oldest phenomenon time that is concerned
    times_marked  bigint not null default 1,  -- a settlement that meets a higher one begins again
    marked_at     timestamptz not null default now()
) with (fillfactor = 50);

-- Moments at which the detector's state is known: from where a settlement need not look further
-- back. One stands only while no reading at or before it is unsettled.
create table detector_checkpoint (
    datastream_id integer not null references datastream,
    through_time  timestamptz not null,
    state         bytea not null,
    primary key (datastream_id, through_time)
);

-- Hours whose rollup is out of date, and the rollups.
create table rollup_dirty (
    datastream_id integer not null references datastream,
    bucket        timestamptz not null,
    -- An hour that is dirty already must be updated, not skipped: the row lock is what keeps a
    -- rollup that runs at the same time from missing the new readings.
    marked_at     timestamptz not null default now(),
    primary key (datastream_id, bucket)
) with (fillfactor = 50);
create table rollup_hour (
    datastream_id integer not null references datastream,
    bucket        timestamptz not null,
    n             integer not null,       -- readings whose value counts: a finite one, not failed
    n_suspect     integer not null,       -- readings flagged 3 or 4
    value_min     double precision,
    value_max     double precision,
    value_mean    double precision,
    value_last    double precision,
    primary key (datastream_id, bucket)
);

-- Messages to send after the commit that decided them.
create table outbox (
    outbox_id  bigint generated always as identity primary key,
    tenant_id  integer not null references tenant,
    topic      text not null,
    payload    jsonb,        -- null: clear the retained message
    retain     boolean not null default true,
    created_at timestamptz not null default now(),
    sent_at    timestamptz
);
create index outbox_unsent on outbox (tenant_id, outbox_id) where sent_at is null;

-- Test publishes that the gateway has seen: the last step of provisioning, and of `doctor`.
create table probe_seen (
    nonce     text primary key,
    tenant_id integer not null references tenant,
    seen_at   timestamptz not null default now()
);
