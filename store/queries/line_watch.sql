-- What the server knows of sessions whose clients wait for an answer.

-- name: sessions
-- One that waits for its client within a COPY is active by name alone.
select a.pid, a.state = 'active' and a.wait_event is distinct from 'ClientRead', a.state_change,
    c.bytes_processed
from pg_stat_activity a left join pg_stat_progress_copy c using (pid)
where a.pid = any(%(pids)s::int[]) and a.state is not null;

-- name: end
-- Unless it has begun something meanwhile.
select pg_terminate_backend(pid)
from pg_stat_activity
where pid = %(pid)s and state_change = %(since)s
    and (state <> 'active' or wait_event = 'ClientRead');
