-- What the jobs look at again because readings changed, and datastreams that the jobs compute.

-- By what looks: the quality tests over hours ('quality'), a street's sensors together ('flood'),
-- a pond's probes together ('pond'). Marked in the transaction that renews the rollup of an hour.
create table review_due (
    work          text not null check (work in ('quality', 'flood', 'pond')),
    datastream_id integer not null references datastream,
    from_time     timestamptz not null,  -- the oldest hour whose readings changed
    times_marked  integer not null default 1,  -- a job is done with what it saw, not with more
    marked_at     timestamptz not null default now(),
    primary key (work, datastream_id)
);
grant select, insert, update, delete on review_due to mizumori_jobs;

-- A derived datastream is computed from others of its place: how far a pond's pH swings in a day,
-- what its oxygen may be at sunrise. It has readings, rules, alerts and a chart like any other,
-- but no device may send it, and its values follow when readings come late.
alter table datastream add column derived boolean not null default false;
