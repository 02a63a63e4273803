-- Settings of a site laid flat, and what a change of settings or shifts leaves to restate.
create or replace function floor.micros(p_time timestamptz)
returns bigint
language sql immutable strict parallel safe
as $$
-- Microseconds since 1970; null for either infinity. What Python's calendar counts in.
    select case when isfinite(p_time) then (extract(epoch from p_time) * 1000000)::bigint end
$$;

create or replace function floor.flat_settings(p_site_key integer)
returns table (
    valid_from timestamptz, valid_to timestamptz, timezone text, min_confidence real,
    max_state_s integer, gap_state text, count_breaks boolean)
language sql stable
set search_path = floor, pg_temp
as $$
-- Spans of equal settings: field by field, of the statements already valid the one
-- recorded last decides; what nobody said has its default.
    with statements as (
        select s.*, row_number() over (order by s.recorded_at, s.setting_key) as said
        from floor.site_settings s
        where s.site_key = p_site_key
    ),
    marks as (
        select timestamptz '-infinity' as at
        union
        select s.valid_from from statements s
    ),
    decided as (
        select
            m.at,
            coalesce((array_agg(s.timezone order by s.said desc)
                filter (where s.timezone is not null))[1], 'UTC') as timezone,
            coalesce((array_agg(s.min_confidence order by s.said desc)
                filter (where s.min_confidence is not null))[1], 0.7::real) as min_confidence,
            coalesce((array_agg(s.max_state_s order by s.said desc)
                filter (where s.max_state_s is not null))[1], 600) as max_state_s,
            coalesce((array_agg(s.gap_state order by s.said desc)
                filter (where s.gap_state is not null))[1], 'none') as gap_state,
            coalesce((array_agg(s.count_breaks order by s.said desc)
                filter (where s.count_breaks is not null))[1], false) as count_breaks
        from marks m
        left join statements s on s.valid_from <= m.at
        group by m.at
    ),
    compared as (
        select d.*,
            lag(row(d.timezone, d.min_confidence, d.max_state_s, d.gap_state, d.count_breaks))
                over (order by d.at)
            is distinct from
            row(d.timezone, d.min_confidence, d.max_state_s, d.gap_state, d.count_breaks)
                as is_new
        from decided d
    )
    select
        c.at, lead(c.at, 1, 'infinity') over (order by c.at),
        c.timezone, c.min_confidence, c.max_state_s, c.gap_state, c.count_breaks
    from compared c
    where c.is_new
$$;

create or replace function floor.lay_settings(p_site_key integer)
returns boolean
language plpgsql
set search_path = floor, pg_temp
as $$
-- Rewrites the site's spans; false where the statements change nothing.
begin
    if not exists (
        (select * from floor.flat_settings(p_site_key)
         except
         select s.valid_from, s.valid_to, s.timezone, s.min_confidence, s.max_state_s,
             s.gap_state, s.count_breaks
         from floor.settings_spans s
         where s.site_key = p_site_key)
        union all
        (select s.valid_from, s.valid_to, s.timezone, s.min_confidence, s.max_state_s,
             s.gap_state, s.count_breaks
         from floor.settings_spans s
         where s.site_key = p_site_key
         except
         select * from floor.flat_settings(p_site_key)))
    then
        return false;
    end if;
    delete from floor.settings_spans s where s.site_key = p_site_key;
    insert into floor.settings_spans
        (site_key, valid_from, valid_to, timezone, min_confidence, max_state_s, gap_state,
         count_breaks)
    select p_site_key, f.* from floor.flat_settings(p_site_key) f;
    return true;
end
$$;

create or replace function floor.oldest_event(p_site_key integer)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
as $$
-- One index probe a worker: no index leads with (site, time).
    select min(first.time)
    from floor.workers w
    cross join lateral (
        select e.time
        from floor.events e
        where e.site_key = w.site_key and e.worker_key = w.worker_key
        order by e.time
        limit 1
    ) first
    where w.site_key = p_site_key
$$;

create or replace function floor.restate_from(
    p_site_key integer, p_from timestamptz, p_reason text)
returns bigint
language plpgsql
set search_path = floor, pg_temp
as $$
-- Has everything from p_from on that is kept cut again, in the background; returns the
-- restatement's key, or null where no event is touched. A refresh that is under way now may still cut by
-- the old rules, by a clock a little ahead of ours: the minute more covers that.
declare
    until timestamptz := greatest(
        clock_timestamp(),
        (select r.cut_now from floor.refresh_state r where r.site_key = p_site_key)
    ) + interval '1 minute';
    oldest timestamptz := floor.oldest_event(p_site_key);
    since timestamptz := greatest(p_from, oldest, floor.events_kept_from(p_site_key));
    key bigint;
begin
    if oldest is null or since >= until then
        return null;
    end if;
    insert into floor.restatements (site_key, from_time, to_time, done_from, reason)
    values (p_site_key, since, until, until, p_reason)
    returning restatement_key into key;
    return key;
end
$$;
