-- Who lies lower, and who stands near, follows from the sites: when one is corrected, its street
-- sensors and those around it are held against each other anew. From a day ago, or from the oldest
-- alert of a street that still stands; what was said of older times stays. A trigger, because the
-- command line, a sheet and the API all write sites, and the API may not see what waits for a review.
create function review_moved_site() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into review_due (work, datastream_id, from_time)
    select 'flood', ds.datastream_id, least(now() - interval '1 day', (
        select min(a.onset_time) from alert a join datastream o using (datastream_id)
        where o.tenant_id = new.tenant_id and o.property = 'depth_m'
            and a.clear_time is null and not a.withdrawn and a.merged_into is null))
    from device d
    join datastream ds on ds.device_id = d.device_id and ds.property = 'depth_m' and not ds.derived
    where d.site_id = new.site_id and d.kind in ('flood_contact', 'flood_level')
    on conflict (work, datastream_id) do update
    set from_time = least(review_due.from_time, excluded.from_time),
        times_marked = review_due.times_marked + 1;
    return null;
end
$$;
revoke execute on function review_moved_site from public;
create trigger site_moved after update of ground_m, lat, lon on site for each row
    when ((old.ground_m, old.lat, old.lon) is distinct from (new.ground_m, new.lat, new.lon))
    execute function review_moved_site();
