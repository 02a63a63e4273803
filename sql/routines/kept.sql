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
as $$
-- Hours of the site before it stay as they are; null: none do. (No SET: stays inlinable.)
    select r.kept_from from floor.retention r where r.site_key = p_site_key
$$;

create or replace function floor.is_forgotten(p_site_key integer, p_time timestamptz)
returns boolean
language sql stable
as $$
-- Whether an event of that time would be deleted: no state before it reaches a kept hour.
    select exists (
        select from floor.retention r
        where r.site_key = p_site_key and p_time < r.kept_from - floor.longest_reach())
$$;
