-- Who changed what. Writer, token and time are the table's own defaults.

-- name: write_as
select set_config('mizumori.writer', %(writer)s, true);

-- name: record
insert into audit (tenant_id, action, subject, change)
values (%(tenant_id)s, %(action)s, %(subject)s, %(change)s);

-- name: entries
select audit_id, at, writer, token_id is not null as by_token, action, subject, change
from audit
where tenant_id = %(tenant_id)s and (%(subject)s::text is null or subject = %(subject)s)
order by audit_id desc
limit %(limit)s;
