-- Registering on sight: text ids become keys. Each is idempotent and safe beside itself:
-- ON CONFLICT DO NOTHING in sorted order, then a statement of its own that reads all back.
create or replace function floor.register_site(p_site_id text, p_discovered boolean)
returns integer
language plpgsql security definer
set search_path = floor, pg_temp
as $$
-- The site's key; with default settings where it is new. A person who registers a
-- discovered site makes it a registered one.
declare
    key integer;
begin
    insert into floor.sites as s (site_id, discovered)
    values (p_site_id, p_discovered)
    on conflict (site_id) do update set discovered = false
        where s.discovered and not excluded.discovered
    returning s.site_key into key;
    if key is null then
        return (select s.site_key from floor.sites s where s.site_id = p_site_id);
    end if;
    perform floor.lay_settings(key);
    insert into floor.refresh_state (site_key) values (key) on conflict do nothing;
    return key;
end
$$;

create or replace function floor.register_workers(
    p_site_key integer, p_ids text[], p_discovered boolean)
returns table (id text, key integer)
language plpgsql security definer
set search_path = floor, pg_temp
as $$
begin
    insert into floor.workers as w (site_key, worker_id, discovered)
    select p_site_key, i.id, p_discovered
    from unnest(p_ids) as i (id)
    order by i.id collate "C"
    on conflict (site_key, worker_id) do update set discovered = false
        where w.discovered and not excluded.discovered;
    return query
    select w.worker_id, w.worker_key
    from floor.workers w
    where w.site_key = p_site_key and w.worker_id = any (p_ids);
end
$$;

create or replace function floor.register_workstations(
    p_site_key integer, p_ids text[], p_discovered boolean)
returns table (id text, key integer)
language plpgsql security definer
set search_path = floor, pg_temp
as $$
begin
    insert into floor.workstations as s (site_key, workstation_id, discovered)
    select p_site_key, i.id, p_discovered
    from unnest(p_ids) as i (id)
    order by i.id collate "C"
    on conflict (site_key, workstation_id) do update set discovered = false
        where s.discovered and not excluded.discovered;
    return query
    select s.workstation_id, s.workstation_key
    from floor.workstations s
    where s.site_key = p_site_key and s.workstation_id = any (p_ids);
end
$$;

create or replace function floor.register_models(p_site_key integer, p_ids text[])
returns table (id text, key integer)
language plpgsql security definer
set search_path = floor, pg_temp
as $$
begin
    insert into floor.models (site_key, model_version)
    select p_site_key, i.id
    from unnest(p_ids) as i (id)
    order by i.id collate "C"
    on conflict (site_key, model_version) do nothing;
    return query
    select m.model_version, m.model_key
    from floor.models m
    where m.site_key = p_site_key and m.model_version = any (p_ids);
end
$$;

create or replace function floor.register_cameras(p_site_key integer, p_ids text[])
returns table (id text, key integer)
language plpgsql security definer
set search_path = floor, pg_temp
as $$
begin
    insert into floor.cameras (site_key, camera_id)
    select p_site_key, i.id
    from unnest(p_ids) as i (id)
    order by i.id collate "C"
    on conflict (site_key, camera_id) do nothing;
    return query
    select c.camera_id, c.camera_key
    from floor.cameras c
    where c.site_key = p_site_key and c.camera_id = any (p_ids);
end
$$;
