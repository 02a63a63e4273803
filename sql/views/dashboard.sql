-- What the dashboard asks and analytics does not have yet: sites, periods, shift bands.
-- The page's numbers stand in dashboard_page.sql.

create or replace function floor.current_zone(p_site_key integer)
returns text
language sql stable
set search_path = floor, pg_temp
as $$
-- The zone whose clock a site shows now; of all sites (null) the one they share, else UTC.
    select case when count(distinct s.timezone) = 1 then min(s.timezone) else 'UTC' end
    from floor.settings_spans s
    where (p_site_key is null or s.site_key = p_site_key)
      and now() >= s.valid_from and now() < s.valid_to
$$;

create or replace function floor.current_production_date(p_site_key integer)
returns date
language sql stable
set search_path = floor, pg_temp
as $$
-- The production date a site is in by the clock; all sites (null): the calendar's date.
    select coalesce(
        (select c.production_date
         from floor.calendar_slices c
         where c.site_key = p_site_key and c.hour = floor.hour_of(now())
           and now() >= c.starts_at and now() < c.ends_at),
        (now() at time zone floor.current_zone(p_site_key))::date)
$$;

create or replace view analytics.dashboard_sites as
select
    s.site_id,
    coalesce(s.name, s.site_id) as name,
    p.timezone,
    coalesce((select array_agg(distinct h.name order by h.name)
              from floor.shifts h
              join floor.shift_versions v on v.shift_key = h.shift_key
              where h.site_key = s.site_key and v.superseded_at is null), '{}') as shifts,
    r.aggregated_now as now,
    r.aggregated_at as refreshed_at
from floor.sites s
join floor.settings_spans p
  on p.site_key = s.site_key and now() >= p.valid_from and now() < p.valid_to
left join floor.refresh_state r on r.site_key = s.site_key;

create or replace view analytics.dashboard_engine as
select
    current_setting('server_version') as server_version,
    (select e.extversion from pg_extension e where e.extname = 'timescaledb') as timescaledb_version,
    i.hypertables,
    i.continuous_aggregates
from floor.installation i;

create or replace function analytics.dashboard_period(
    site text, range text, shift text default null,
    from_time timestamptz default null, to_time timestamptz default null)
returns table (
    from_date date, to_date date, window_from timestamptz, window_to timestamptz,
    shift_name text, starts_at timestamptz, ends_at timestamptz, running boolean,
    so_far_from timestamptz, so_far_to timestamptz,
    before_from_date date, before_to_date date,
    before_from timestamptz, before_to timestamptz)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Resolves a range of the dashboard: dates (from_date, to_date) or a window on UTC hours
-- (window_from, window_to), and the period before it. While a period still runs, its whole
-- hours so far are compared with the same hours before (so_far_*, before_from, before_to).
-- Nothing is compared with a time of which events are missing at the beginning.
declare
    one_site integer := case when site is not null then floor.key_of_site(site) end;
    zone text := floor.current_zone(one_site);
    counted_to timestamptz := (
        select max(r.aggregated_now) from floor.refresh_state r
        where one_site is null or r.site_key = one_site);
    today date := floor.current_production_date(one_site);
    instance floor.shift_instances;
    earlier floor.shift_instances;
    days integer;
    known_from timestamptz := (
        select min(r.first_event_at) from floor.refresh_state r
        where one_site is null or r.site_key = one_site);
begin
    shift_name := shift;
    if range = 'shift' then
        select * into instance from floor.last_instance(one_site, shift, now());
        select * into earlier from floor.last_instance(
            one_site, (select h.name from floor.shifts h where h.shift_key = instance.shift_key),
            instance.starts_at - interval '1 microsecond');
    end if;
    if range = 'custom' and from_time < to_time then
        window_from := from_time;
        window_to := to_time;
        starts_at := from_time;
        ends_at := to_time;
        before_from := from_time - (to_time - from_time);
        before_to := from_time;
    elsif instance.site_key is not null then
        shift_name := (select h.name from floor.shifts h where h.shift_key = instance.shift_key);
        from_date := instance.production_date;
        to_date := instance.production_date;
        before_from_date := earlier.production_date;
        before_to_date := earlier.production_date;
        starts_at := instance.starts_at;
        ends_at := instance.ends_at;
        before_from := floor.hour_of(earlier.starts_at);
    else
        days := case range when '7d' then 7 when '30d' then 30 else 1 end;
        to_date := today - case range when 'yesterday' then 1 else 0 end;
        from_date := to_date - days + 1;
        before_from_date := from_date - days;
        before_to_date := to_date - days;
        select b.starts_at, b.ends_at into starts_at, ends_at
        from floor.bounds_of_dates(one_site, from_date, to_date) b;
        before_from := floor.hour_of(
            (starts_at at time zone zone - make_interval(days => days)) at time zone zone);
    end if;
    running := ends_at > now();
    if running and counted_to is not null then
        so_far_from := floor.hour_of(starts_at);
        so_far_to := greatest(so_far_from, floor.hour_of(least(counted_to, ends_at)));
        before_to := before_from + (so_far_to - so_far_from);
    end if;
    if known_from is null or known_from > before_from + (ends_at - starts_at) / 4 then
        before_from_date := null;
        before_to_date := null;
        before_from := null;
        before_to := null;
    end if;
    return next;
end
$$;

create or replace function floor.last_instance(
    p_site_key integer, p_shift text, p_at timestamptz)
returns floor.shift_instances
language sql stable
set search_path = floor, pg_temp
as $$
-- The shift instance that runs at an instant, else the last one before it.
    select i.*
    from floor.shift_instances i
    join floor.shifts h on h.shift_key = i.shift_key
    where i.site_key = p_site_key and i.starts_at <= p_at
      and (p_shift is null or h.name = p_shift)
    order by i.starts_at desc
    limit 1
$$;

create or replace function floor.bounds_of_dates(
    p_site_key integer, p_from date, p_to date,
    out starts_at timestamptz, out ends_at timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
as $$
-- From when to when production dates last: by the calendar, or by midnights where it has
-- no slices for them (and for all sites together).
declare
    zone text := floor.current_zone(p_site_key);
begin
    select min(c.starts_at), max(c.ends_at) into starts_at, ends_at
    from floor.calendar_slices c
    where c.site_key = p_site_key and c.production_date between p_from and p_to;
    starts_at := coalesce(starts_at, p_from::timestamp at time zone zone);
    ends_at := coalesce(ends_at, (p_to + 1)::timestamp at time zone zone);
end
$$;

create or replace function analytics.dashboard_bands(
    site text, from_time timestamptz, to_time timestamptz)
returns table (kind text, shift text, starts_at timestamptz, ends_at timestamptz)
language plpgsql stable security definer
set search_path = floor, pg_temp
as $$
-- Shift instances that touch the window, and the breaks in them that do not count.
begin
    return query
    select 'shift', h.name, i.starts_at, i.ends_at
    from floor.shift_instances i
    join floor.shifts h on h.shift_key = i.shift_key
    where i.site_key = floor.key_of_site(site)
      and i.starts_at < to_time and i.ends_at > from_time
    union all
    select 'break', h.name, lower(u.span), upper(u.span)
    from (
        select c.shift_key, unnest(range_agg(tstzrange(c.starts_at, c.ends_at))) as span
        from floor.calendar_slices c
        where c.site_key = floor.key_of_site(site) and c.in_break
          and c.hour >= from_time - interval '1 hour' and c.hour < to_time
        group by c.shift_key
    ) u
    join floor.shifts h on h.shift_key = u.shift_key
    order by 3;
end
$$;

create or replace function analytics.dashboard_last_date(site text)
returns date
language plpgsql stable security definer
set search_path = floor, pg_temp
as $$
-- The last production date on which anything was counted; null where nothing ever was.
begin
    return (
        select max(last.production_date)
        from unnest(floor.sites_asked(site)) as asked (site_key)
        cross join lateral (
            select d.production_date
            from floor.activity_daily d
            where d.site_key = asked.site_key
            order by d.day desc
            limit 1
        ) last);
end
$$;

comment on view analytics.dashboard_sites is 'Sites as the dashboard lists them';
comment on column analytics.dashboard_sites.site_id is 'The site';
comment on column analytics.dashboard_sites.name is 'Its name, or else its id';
comment on column analytics.dashboard_sites.timezone is 'IANA zone in force now: times are shown in it';
comment on column analytics.dashboard_sites.shifts is 'Names of its shifts';
comment on column analytics.dashboard_sites.now is 'Up to when metrics count: the instant of the last refresh';
comment on column analytics.dashboard_sites.refreshed_at is 'When the last refresh ended';
comment on view analytics.dashboard_engine is 'What this installation runs on';
comment on column analytics.dashboard_engine.server_version is 'Version of PostgreSQL';
comment on column analytics.dashboard_engine.timescaledb_version is 'Version of TimescaleDB; null without it';
comment on column analytics.dashboard_engine.hypertables is 'Facts are hypertables';
comment on column analytics.dashboard_engine.continuous_aggregates is 'Aggregates are continuous aggregates';
comment on function analytics.dashboard_period(text, text, text, timestamptz, timestamptz) is
    'A range of the dashboard as production dates or a window, and the period before it';
comment on function analytics.dashboard_bands(text, timestamptz, timestamptz) is
    'Shifts and breaks of a site that touch a window';
comment on function analytics.dashboard_last_date(text) is
    'The last production date with anything counted, of a site or (null) of all';
