-- How high the ground lies, and what the API reads about doubted readings.

-- Elevation of the lowest point where water can stand, metres above sea level; null: not known,
-- and then nothing is said about who lies lower.
alter table site add column ground_m double precision check (ground_m between -500 and 9000);
grant insert (ground_m), update (ground_m) on site to mizumori_api;

create view tenant_flag_revision with (security_barrier) as
    select r.* from flag_revision r join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
grant select on tenant_flag_revision to mizumori_api, mizumori_grafana;
