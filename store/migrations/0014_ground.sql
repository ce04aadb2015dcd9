-- How high the ground lies, and what the API reads about doubted readings.

-- Elevation of the lowest point that water can stand at, metres above sea level; null: not known,
-- and then nothing is said about who lies lower. A device's own stands in for its site's.
alter table site add column ground_m double precision check (ground_m between -500 and 9000);
alter table device add column ground_m double precision check (ground_m between -500 and 9000);
grant select (ground_m) on device to mizumori_api, mizumori_grafana;

create view tenant_flag_revision with (security_barrier) as
    select r.* from flag_revision r join datastream d using (datastream_id)
    where d.tenant_id = (select visible_tenant_id());
grant select on tenant_flag_revision to mizumori_api, mizumori_grafana;
