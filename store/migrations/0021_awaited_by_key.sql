-- The awaited flags of a batch are found by their keys, whatever the planner believes: it takes a
-- partition, or a chunk, that has not been analyzed yet for an empty one, and a gateway that read a
-- whole new month for each batch until autovacuum came by took three times as long.
alter function write_awaited(integer[], timestamptz[], smallint[], smallint[])
    set enable_seqscan = off;
alter function write_awaited(integer[], timestamptz[], smallint[], smallint[])
    set enable_hashjoin = off;
alter function write_awaited(integer[], timestamptz[], smallint[], smallint[])
    set enable_mergejoin = off;
