-- What the server knows of sessions whose clients wait for an answer.

-- name: sessions
select pid, state = 'active', state_change
from pg_stat_activity
where pid = any(%(pids)s::int[]) and state is not null;
