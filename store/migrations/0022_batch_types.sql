-- The parts of what a gateway writes with every batch: its statement takes one array of each. One
-- for each column made 27 of them, and cost the session a tenth more.
create type batch_lease as (tenant_id integer, partition_no smallint, epoch bigint);
create type batch_state as (
    datastream_id integer, epoch bigint, revision bigint, through_time timestamptz,
    rules_since timestamptz, state bytea
);
create type batch_row as (
    at timestamptz, received timestamptz, value double precision, seq bigint, stream integer,
    flag smallint, evaluated smallint, marks smallint, town integer, rate double precision
);
create type batch_verdict as (
    datastream_id integer, phenomenon_time timestamptz, flag smallint, evaluated smallint
);
create type batch_heard as (device_id integer, tenant_id integer, at timestamptz);

-- The flags that awaited the next reading are written by an upsert now. On TimescaleDB an update
-- that was planned for each batch cost as much as all else that a small batch writes.
drop function write_awaited;
-- What that upsert inserts, because it was deleted meanwhile, this takes away in the same statement.
create function drop_unreceived(ids integer[], times timestamptz[]) returns void
language plpgsql strict security definer set search_path = public, pg_temp as $$
begin
    delete from observation
    where datastream_id = any (ids) and phenomenon_time = any (times)
        and received_time = '-infinity';
end
$$;
revoke execute on function drop_unreceived from public;
grant execute on function drop_unreceived to mizumori_gateway, mizumori_jobs;
