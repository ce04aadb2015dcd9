-- The spike test's verdict has to wait for the next reading: the one flag that is written over. A
-- gateway's one statement a batch calls this.
-- Planned each time, with the times in it: a plan for any times opens each chunk of all years, 200
-- of which cost ten times as much as all else that a small batch writes.
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
