-- From when on a site's hours may change, and how far a state reaches.
create or replace function floor.longest_reach()
returns interval
language sql immutable
set search_path = floor, pg_temp
as $$
-- A piece lies after its state by its hold and a gap at the most: less than this.
    select interval '3 days'
$$;

create or replace function floor.kept_from(p_site_key integer)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
as $$
-- Hours of the site before it stay as they are; null: none do.
    select r.kept_from from floor.retention r where r.site_key = p_site_key
$$;

create or replace function floor.events_kept_from(p_site_key integer)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
as $$
-- Events of the site before it are deleted: no state among them reaches a kept hour; null:
-- none are.
    select floor.kept_from(p_site_key) - floor.longest_reach()
$$;
