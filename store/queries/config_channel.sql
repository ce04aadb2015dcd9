-- The channel mizumori_config.

-- name: notify
select pg_notify('mizumori_config', json_build_object('kind', %(kind)s::text)::text);
