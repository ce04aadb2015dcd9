-- What a gateway's one statement a batch calls.

-- Ends the statement, and with it its transaction, with a code of our own: what it was to write is
-- not written, and the gateway looks why.
create function refuse_batch(code text) returns void language plpgsql as $$
begin
    raise exception using errcode = code, message = 'the batch is refused';
end
$$;

-- The spike test's verdict has to wait for the next reading: the one flag that is written over.
-- Planned each time, with the times in it: a plan for any times opens each partition or chunk of
-- all years, 200 of which cost ten times as much as all else that a small batch writes.
create function write_awaited(
    ids integer[], times timestamptz[], flags smallint[], tests smallint[]
) returns void language plpgsql as $$
begin
    if cardinality(ids) > 0 then
        execute format(
            'update observation o set flag = v.flag, evaluated = v.evaluated
             from unnest($1, $2, $3, $4) as v (datastream_id, phenomenon_time, flag, evaluated)
             where o.datastream_id = v.datastream_id and o.phenomenon_time = v.phenomenon_time
                 and o.phenomenon_time between %L and %L',
            (select min(t) from unnest(times) as t), (select max(t) from unnest(times) as t)
        ) using ids, times, flags, tests;
    end if;
end
$$;
