-- Who owns what: towns, their sites, devices and datastreams.

-- A town (tenant) and everything that separates it from its neighbours.
create table tenant (
    tenant_id   integer generated always as identity primary key,
    code        text not null unique check (code ~ '^[a-z][a-z0-9-]{0,30}$'),
    name_ja     text not null,
    name_en     text not null,
    time_zone   text not null default 'Asia/Tokyo',
    training    boolean not null default false,  -- 訓練: marks every reading, alert and page of this town
    map_lat     double precision not null default 38.0,
    map_lon     double precision not null default 140.0,
    map_zoom    double precision not null default 12,
    created_at  timestamptz not null default now()
);

-- A town's account at the broker. Read by gateway and jobs only; never by the API.
-- Partitions, window and ack_wait freeze at the session's first SUBSCRIBE, so they are fixed here.
create table broker_account (
    tenant_id        integer primary key references tenant,
    partitions       smallint not null default 4 check (partitions between 1 and 64),
    window_messages  integer not null default 1000 check (window_messages between 1 and 65535),
    ack_wait_s       integer not null default 15 check (ack_wait_s > 0),
    queue_bytes      bigint not null check (queue_bytes > 0),
    gateway_user     text not null unique,
    gateway_password text not null,
    client_id_secret text not null  -- a device that knew it could erase the queue
);

-- A place that people know: a street, an underpass, a river gauge, a pond, a depot.
create table site (
    site_id      integer generated always as identity primary key,
    tenant_id    integer not null references tenant,
    code         text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    kind         text not null check (kind in ('street', 'underpass', 'river', 'pond', 'depot')),
    name_ja      text not null,
    name_en      text not null,
    lat          double precision check (lat between -90 and 90),
    lon          double precision check (lon between -180 and 180),
    close_at_m   double precision check (close_at_m >= 0),    -- depth at which the street is closed
    crew_minutes double precision check (crew_minutes >= 0),  -- how long a crew needs to get there
    unique (tenant_id, code)
);

create table device (
    device_id           integer generated always as identity primary key,
    tenant_id           integer not null references tenant,
    site_id             integer references site,
    code                text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    kind                text not null check (kind in ('flood_contact', 'flood_level', 'pond_probe', 'plow')),
    name_ja             text not null,
    name_en             text not null,
    lat                 double precision check (lat between -90 and 90),
    lon                 double precision check (lon between -180 and 180),
    expected_interval_s double precision not null check (expected_interval_s > 0),
    state               text not null default 'active'
                        check (state in ('active', 'maintenance', 'out_of_season', 'quarantined', 'retired')),
    secret_hash         text,  -- bcrypt, cost 4 over 128 random bits; null: may not connect
    codec               text not null default 'native',
    codec_params        jsonb not null default '{}',  -- gateway/codecs/mapping.py: CodecParams
    created_at          timestamptz not null default now(),
    unique (tenant_id, code)
);

-- One device, one observed property, one unit.
create table datastream (
    datastream_id integer generated always as identity primary key,
    tenant_id     integer not null references tenant,
    device_id     integer not null references device,
    property      text not null check (property ~ '^[a-z][a-z0-9_]{0,62}$'),  -- the key in a payload: depth_m
    unit          text not null,
    created_at    timestamptz not null default now(),
    unique (device_id, property)
);
create index datastream_tenant on datastream (tenant_id);
