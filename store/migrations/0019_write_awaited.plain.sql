-- The spike test's verdict has to wait for the next reading: the one flag that is written over. A
-- gateway's one statement a batch calls this.
-- With the times in the condition, one plan for all times opens the partitions of these alone.
create function write_awaited(
    ids integer[], times timestamptz[], flags smallint[], tests smallint[]
) returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    oldest timestamptz;
    newest timestamptz;
begin
    if cardinality(ids) > 0 then
        select min(t), max(t) into oldest, newest from unnest(times) as t;
        update observation o
        set flag = v.flag, evaluated = v.evaluated
        from unnest(ids, times, flags, tests) as v (datastream_id, phenomenon_time, flag, evaluated)
        where o.datastream_id = v.datastream_id and o.phenomenon_time = v.phenomenon_time
            and o.phenomenon_time between oldest and newest;
    end if;
end
$$;
