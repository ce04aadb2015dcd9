-- Which programs have sessions at this database, by the name that each gives to its own.

-- name: at_work
select distinct split_part(application_name, ' ', 1) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name <> '';
