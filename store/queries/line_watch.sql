-- What the server knows of sessions whose clients wait for an answer.

-- name: sessions
select pid, state = 'active', state_change
from pg_stat_activity
where pid = any(%(pids)s::int[]) and state is not null;

-- name: end
-- Unless it has begun something meanwhile.
select pg_terminate_backend(pid)
from pg_stat_activity
where pid = %(pid)s and state <> 'active' and state_change = %(since)s;
