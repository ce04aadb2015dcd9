-- Rules, and the three records that are kept apart: ledger, journal, link record.

-- A rule is versioned and applies by phenomenon time from valid_from on; never backdated.
-- The most specific scope wins: device, then site, then every site of that kind in the town.
-- The code names a rule across its scopes: a version with device_id set stands in for the town's
-- version of the same code at that device, and only there. Within one scope the newest version
-- that is valid counts; one that is not enabled switches the rule off in its scope.
create table rule (
    rule_id      integer generated always as identity primary key,
    tenant_id    integer not null references tenant,
    code         text not null check (code ~ '^[a-z][a-z0-9-]{0,62}$'),
    version      integer not null check (version >= 1),
    kind         text not null,      -- detectors.rules names them: threshold, rate_of_rise, gross_range, ...
    property     text not null,      -- the datastreams it applies to; 'link': the device itself
    device_kind  text,               -- null: any
    site_kinds   text[],             -- null: any site, and devices without one
    site_id      integer references site,
    device_id    integer references device,
    params       jsonb not null,
    label_scheme text not null default 'street',
    enabled      boolean not null default true,
    valid_from   timestamptz not null,
    created_at   timestamptz not null default now(),
    unique (tenant_id, code, version),
    check (site_id is null or device_id is null)
);

-- What a level is called and how it is drawn: dated data, not code.
create table level_label (
    scheme     text not null,   -- street, river, pond, rate
    level      smallint not null,
    valid_from timestamptz not null,
    label_ja   text not null,
    label_en   text not null,
    colour     text not null check (colour ~ '^#[0-9a-f]{6}$'),
    symbol     text not null,   -- shape on the map: colour is never the only signal
    primary key (scheme, level, valid_from)
);

-- Ledger. One row per episode above level 0 of one rule at one datastream.
create table revision (
    revision_id   bigint generated always as identity primary key,
    tenant_id     integer not null references tenant,
    reason        text not null check (reason in ('live', 'late', 'settled', 'exercise')),
    recorded_time timestamptz not null default now()
);
create table alert (
    alert_id      bigint generated always as identity primary key,
    tenant_id     integer not null references tenant,
    datastream_id integer not null references datastream,
    rule_code     text not null,
    rule_version  integer not null,
    onset_time    timestamptz not null,
    clear_time    timestamptz,
    level         smallint not null,       -- now; 0 when cleared
    peak_level    smallint not null,
    peak_value    double precision,
    training      boolean not null default false,
    revision_id   bigint not null references revision,   -- last revision that touched it
    merged_into   bigint references alert,
    withdrawn     boolean not null default false         -- late data showed that it never was
);
create index alert_tenant_onset on alert (tenant_id, onset_time desc);
create index alert_open on alert (datastream_id, rule_code) where clear_time is null and not withdrawn;

create table alert_transition (
    transition_id      bigint generated always as identity primary key,
    alert_id           bigint not null references alert,
    phenomenon_time    timestamptz not null,
    from_level         smallint not null,
    to_level           smallint not null,
    value              double precision,
    rule_version       integer not null,
    evidence           jsonb not null,   -- readings, rule and state that decided
    revision_id        bigint not null references revision,
    withdrawn_revision bigint references revision,  -- null: stands
    recorded_time      timestamptz not null default now()
);
create index alert_transition_alert on alert_transition (alert_id, phenomenon_time);

-- Journal: what was said, append-only. What people were told is corrected by appending.
create table journal (
    journal_id  bigint generated always as identity primary key,
    tenant_id   integer not null references tenant,
    alert_id    bigint references alert,
    revision_id bigint references revision,
    kind        text not null check (kind in ('raised', 'escalated', 'lowered', 'cleared', 'corrected', 'link', 'note')),
    said_at     timestamptz not null default now(),
    audience    text not null default 'desk',
    body        jsonb not null,
    -- What is said of an alert names the ledger as it stood.
    check (kind in ('link', 'note') or (alert_id is not null and revision_id is not null))
);
create index journal_tenant on journal (tenant_id, journal_id desc);
create index journal_link on journal (tenant_id, journal_id desc) where kind = 'link';

-- Link record: a function of received times, never in the ledger.
create table link_state (
    device_id          integer primary key references device,
    tenant_id          integer not null,
    state              text not null check (state in ('online', 'offline', 'silent', 'unknown')),
    since              timestamptz not null,
    last_received_time timestamptz
) with (fillfactor = 50);
create table link_event (
    link_event_id bigint generated always as identity primary key,
    tenant_id     integer not null references tenant,
    device_id     integer not null references device,
    state         text not null check (state in ('online', 'offline', 'silent', 'unknown')),
    reason        text not null check (reason in ('message', 'status', 'will', 'silence', 'gateway_outage', 'created')),
    at            timestamptz not null
);
create index link_event_device on link_event (device_id, at desc);
