-- What is kept for how long. Partitions and chunks are behind two functions of the schema's owner,
-- so that these statements serve both engines.

-- name: make_partitions
select make_partitions(%(months_ahead)s);

-- name: drop_readings
select drop_readings_before(now() - make_interval(days => %(days)s));

-- name: drop_revisions
select drop_flag_revisions_before(now() - make_interval(days => %(days)s));

-- name: prune_quarantine
delete from quarantine where received_time < now() - make_interval(days => %(days)s);

-- name: prune_overflow
delete from quarantine_overflow where bucket < now() - make_interval(days => %(days)s);

-- name: prune_outbox
delete from outbox where sent_at < now() - make_interval(days => %(days)s);

-- name: prune_sequences
delete from reading_sequence where phenomenon_time < now() - make_interval(days => %(days)s);

-- name: prune_probes
delete from probe_seen where seen_at < now() - interval '1 day';

-- name: prune_conflicts
delete from conflict where settled_at < now() - make_interval(days => %(days)s);
