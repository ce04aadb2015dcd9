-- Readings. Array parameters are of one length.

-- name: known_values
select k.i, o.value, coalesce(o.seq, -1)
from unnest(%(datastream_id)s, %(phenomenon_time)s) with ordinality as k (datastream_id, phenomenon_time, i)
join observation o using (datastream_id, phenomenon_time);

-- name: copy
copy observation (phenomenon_time, received_time, value, seq, datastream_id, flag, evaluated, marks)
from stdin (format binary);
