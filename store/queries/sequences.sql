-- Numbers of readings that came without a time. Array parameters are of one length.

-- name: claim
-- A sequence number that comes again after the horizon is a device that began anew.
insert into reading_sequence (device_id, seq, phenomenon_time)
select * from unnest(%(device_id)s, %(seq)s, %(phenomenon_time)s)
on conflict (device_id, seq) do update set phenomenon_time = excluded.phenomenon_time
where reading_sequence.phenomenon_time
      < excluded.phenomenon_time - make_interval(secs => %(horizon_s)s)
returning device_id, seq;
