-- What detectors know of each datastream. Array parameters are of one length.

-- name: moved
select s.datastream_id
from unnest(%(datastream_id)s, %(revision)s) as k (datastream_id, revision)
join detector_state s using (datastream_id)
where s.revision <> k.revision;
