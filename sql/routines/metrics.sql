-- What the metric functions share. Sums are integers in microseconds until the last step.

create or replace function floor.require_window(p_from timestamptz, p_to timestamptz)
returns void
language plpgsql immutable
set search_path = floor, pg_temp
as $$
-- Refuses a window whose bounds are not whole UTC hours, or endless, or that runs backwards.
begin
    if p_from is null or p_to is null then
        raise exception 'a window needs both bounds'
            using errcode = 'null_value_not_allowed', hint = 'Pass from_time and to_time.';
    end if;
    if not (isfinite(p_from) and isfinite(p_to)) then
        raise exception 'a window has finite bounds, not % to %', p_from, p_to
            using errcode = 'invalid_parameter_value', hint = 'Pass two times on the UTC hour.';
    end if;
    if p_from <> floor.hour_of(p_from) or p_to <> floor.hour_of(p_to) then
        raise exception 'time windows have bounds on the UTC hour, not % to %', p_from, p_to
            using errcode = 'invalid_parameter_value',
                  hint = 'Round both bounds to a UTC hour, or use the function _by_date for local days and shifts.';
    end if;
    if p_from > p_to then
        raise exception 'the window ends (%) before it begins (%)', p_to, p_from
            using errcode = 'invalid_parameter_value', hint = 'Swap the bounds.';
    end if;
end
$$;

create or replace function floor.require_dates(p_from date, p_to date)
returns void
language plpgsql immutable
set search_path = floor, pg_temp
as $$
-- Refuses a range of production dates that is incomplete or runs backwards.
begin
    if p_from is null or p_to is null then
        raise exception 'a range of production dates needs both dates'
            using errcode = 'null_value_not_allowed', hint = 'Pass from_date and to_date; both are included.';
    end if;
    if p_from > p_to then
        raise exception 'the range ends (%) before it begins (%)', p_to, p_from
            using errcode = 'invalid_parameter_value', hint = 'Swap the dates; both are included.';
    end if;
end
$$;

create or replace function floor.key_of_site(p_site text)
returns integer
language plpgsql stable
set search_path = floor, pg_temp
as $$
-- The key of a site, or an error that names it.
declare
    key integer := (select s.site_key from floor.sites s where s.site_id = p_site);
begin
    if key is null then
        raise exception 'there is no site %', coalesce(quote_literal(p_site), 'NULL')
            using errcode = 'no_data_found', hint = 'floorpulse site list shows the sites there are.';
    end if;
    return key;
end
$$;

create or replace function floor.sites_asked(p_site text)
returns integer[]
language plpgsql stable
set search_path = floor, pg_temp
as $$
-- The keys a caller asks for: one site, or all of them for null.
begin
    if p_site is null then
        return array(select s.site_key from floor.sites s);
    end if;
    return array[floor.key_of_site(p_site)];
end
$$;

create or replace function floor.shifts_asked(p_sites integer[], p_shift text)
returns integer[]
language plpgsql stable
set search_path = floor, pg_temp
as $$
-- The keys of the shifts of that name; null (all shifts, and the time outside) for null.
declare
    keys integer[];
begin
    if p_shift is null then
        return null;
    end if;
    keys := array(select s.shift_key from floor.shifts s
                  where s.site_key = any (p_sites) and s.name = p_shift);
    if cardinality(keys) = 0 then
        raise exception 'there is no shift % here', quote_literal(p_shift)
            using errcode = 'no_data_found', hint = 'floorpulse shift list shows the shifts there are.';
    end if;
    return keys;
end
$$;

create or replace function floor.now_of(p_site_key integer)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
as $$
-- Now in every metric: the instant of the site's last refresh.
    select r.aggregated_now from floor.refresh_state r where r.site_key = p_site_key
$$;

create or replace function floor.microseconds(p_length interval)
returns bigint
language sql immutable parallel safe
as $$
-- Exact. (No SET: it must stay inlinable.)
    select (extract(epoch from p_length) * 1000000)::bigint
$$;

create or replace function floor.seconds(p_us double precision)
returns double precision
language sql immutable parallel safe
as $$
-- Seconds for people, 0 for a sum over nothing.
    select coalesce(p_us, 0) / 1e6
$$;

create or replace function floor.ratio(p_part double precision, p_whole double precision)
returns double precision
language sql immutable parallel safe
as $$
-- A fraction; null without denominator.
    select p_part / nullif(p_whole, 0)
$$;

create or replace function floor.per_hour(p_units double precision, p_us double precision)
returns double precision
language sql immutable parallel safe
as $$
-- Units per hour of a time in microseconds; null without time.
    select p_units * 3.6e9 / nullif(p_us, 0)
$$;

create or replace function floor.scheduled_us(
    p_site_key integer, p_from timestamptz, p_to timestamptz, p_shifts integer[],
    p_breaks_too boolean default false)
returns bigint
language sql stable
set search_path = floor, pg_temp
as $$
-- Scheduled time of a window up to now: slices in a shift (or at a site without shifts),
-- less breaks; p_breaks_too leaves those in: the wall clock of the shifts.
    select coalesce(sum(floor.microseconds(
        least(c.ends_at, p_to, floor.now_of(p_site_key)) - greatest(c.starts_at, p_from))), 0)::bigint
    from floor.calendar_slices c
    where c.site_key = p_site_key
      and c.hour >= p_from - interval '1 hour' and c.hour < p_to
      and c.ends_at > p_from
      and c.starts_at < least(p_to, floor.now_of(p_site_key))
      and (p_breaks_too or not c.in_break)
      and case when p_shifts is null then c.shift_key <> 0 else c.shift_key = any (p_shifts) end
$$;

create or replace function floor.calendar_us_by_date(
    p_site_key integer, p_from date, p_to date, p_shifts integer[],
    out scheduled_us bigint, out wall_us bigint)
language sql stable
set search_path = floor, pg_temp
as $$
-- Scheduled time, and wall clock (of the shifts asked, or of the dates), up to now.
    select
        coalesce(sum(c.length_us) filter (where c.shift_key <> 0 and not c.in_break), 0)::bigint,
        coalesce(sum(c.length_us), 0)::bigint
    from (
        select s.shift_key, s.in_break,
            floor.microseconds(least(s.ends_at, floor.now_of(p_site_key)) - s.starts_at) as length_us
        from floor.calendar_slices s
        where s.site_key = p_site_key
          and s.production_date between p_from and p_to
          and s.starts_at < floor.now_of(p_site_key)
          and (p_shifts is null or s.shift_key = any (p_shifts))
    ) c
$$;

create or replace function floor.whole_days(
    p_from timestamptz, p_to timestamptz, out first_day timestamptz, out last_day timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- The whole UTC days [first_day, last_day) of a window on UTC hours: daily aggregates answer
-- for those, hourly ones for the ends. Without a whole day all of the window is an end.
begin
    first_day := date_trunc('day', p_from + interval '23 hours');
    last_day := date_trunc('day', p_to);
    if first_day >= last_day then
        first_day := p_to;
        last_day := p_to;
    end if;
end
$$;

create or replace function floor.activity_sums(
    p_sites integer[], p_from timestamptz, p_to timestamptz, p_shifts integer[],
    p_by_workstation boolean default false)
returns table (
    site_key integer, worker_key integer, workstation_key integer,
    working_us bigint, idle_us bigint, absent_us bigint, break_us bigint,
    units bigint, units_working bigint, events bigint)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Sums of a window on UTC hours: whole UTC days from the daily aggregate, the ends hourly.
-- Per worker, or per workstation; both at once would be ten times the groups, and the time.
declare
    first_day timestamptz;
    last_day timestamptz;
begin
    select w.first_day, w.last_day into first_day, last_day from floor.whole_days(p_from, p_to) w;
    return query
    select
        a.site_key,
        case when not p_by_workstation then a.worker_key end,
        case when p_by_workstation then a.workstation_key end,
        sum(a.working_us)::bigint, sum(a.idle_us)::bigint, sum(a.absent_us)::bigint,
        sum(a.break_us)::bigint, sum(a.units)::bigint, sum(a.units_working)::bigint,
        sum(a.events)::bigint
    from (
        select h.site_key, h.worker_key, h.workstation_key, h.shift_key, h.working_us, h.idle_us,
            h.absent_us, h.break_us, h.units, h.units_working, h.events
        from floor.activity_hourly h
        where h.hour >= p_from and h.hour < first_day
        union all
        select d.site_key, d.worker_key, d.workstation_key, d.shift_key, d.working_us, d.idle_us,
            d.absent_us, d.break_us, d.units, d.units_working, d.events
        from floor.activity_daily d
        where d.day >= first_day and d.day < last_day
        union all
        select h.site_key, h.worker_key, h.workstation_key, h.shift_key, h.working_us, h.idle_us,
            h.absent_us, h.break_us, h.units, h.units_working, h.events
        from floor.activity_hourly h
        where h.hour >= last_day and h.hour < p_to
    ) a
    where a.site_key = any (p_sites) and (p_shifts is null or a.shift_key = any (p_shifts))
    group by 1, 2, 3;
end
$$;

create or replace function floor.activity_sums_by_date(
    p_sites integer[], p_from date, p_to date, p_shifts integer[],
    p_by_workstation boolean default false)
returns table (
    site_key integer, worker_key integer, workstation_key integer,
    working_us bigint, idle_us bigint, absent_us bigint, break_us bigint,
    units bigint, units_working bigint, events bigint)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Sums of production dates, both included. A production date lies within one UTC day
-- before it and three after: zones reach 14 hours, a shift starts on it and lasts a day.
begin
    return query
    select
        d.site_key,
        case when not p_by_workstation then d.worker_key end,
        case when p_by_workstation then d.workstation_key end,
        sum(d.working_us)::bigint, sum(d.idle_us)::bigint, sum(d.absent_us)::bigint,
        sum(d.break_us)::bigint, sum(d.units)::bigint, sum(d.units_working)::bigint,
        sum(d.events)::bigint
    from floor.activity_daily d
    where d.site_key = any (p_sites)
      and d.day >= p_from::timestamptz - interval '1 day'
      and d.day < p_to::timestamptz + interval '4 days'
      and d.production_date between p_from and p_to
      and (p_shifts is null or d.shift_key = any (p_shifts))
    group by 1, 2, 3;
end
$$;

create or replace function floor.presence_sums(
    p_site_key integer, p_from timestamptz, p_to timestamptz, p_shifts integer[])
returns table (
    workstation_key integer, occupied_us bigint, operating_us bigint,
    scheduled_occupied_us bigint, scheduled_operating_us bigint)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Unions of presence may be added over hours, dates and shifts. scheduled_*: inside shifts,
-- or at any time where no shift is in force.
declare
    first_day timestamptz;
    last_day timestamptz;
begin
    select w.first_day, w.last_day into first_day, last_day from floor.whole_days(p_from, p_to) w;
    return query
    select
        a.workstation_key,
        sum(a.occupied_us)::bigint, sum(a.operating_us)::bigint,
        coalesce(sum(a.occupied_us) filter (where a.shift_key <> 0), 0)::bigint,
        coalesce(sum(a.operating_us) filter (where a.shift_key <> 0), 0)::bigint
    from (
        select h.site_key, h.workstation_key, h.shift_key, h.occupied_us, h.operating_us
        from floor.presence_hourly h
        where h.hour >= p_from and h.hour < first_day
        union all
        select d.site_key, d.workstation_key, d.shift_key, d.occupied_us, d.operating_us
        from floor.presence_daily d
        where d.day >= first_day and d.day < last_day
        union all
        select h.site_key, h.workstation_key, h.shift_key, h.occupied_us, h.operating_us
        from floor.presence_hourly h
        where h.hour >= last_day and h.hour < p_to
    ) a
    where a.site_key = p_site_key and (p_shifts is null or a.shift_key = any (p_shifts))
    group by a.workstation_key;
end
$$;

create or replace function floor.presence_sums_by_date(
    p_site_key integer, p_from date, p_to date, p_shifts integer[])
returns table (
    workstation_key integer, occupied_us bigint, operating_us bigint,
    scheduled_occupied_us bigint, scheduled_operating_us bigint)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- The same by production date, both dates included.
begin
    return query
    select
        d.workstation_key,
        sum(d.occupied_us)::bigint, sum(d.operating_us)::bigint,
        coalesce(sum(d.occupied_us) filter (where d.shift_key <> 0), 0)::bigint,
        coalesce(sum(d.operating_us) filter (where d.shift_key <> 0), 0)::bigint
    from floor.presence_daily d
    where d.site_key = p_site_key
      and d.day >= p_from::timestamptz - interval '1 day'
      and d.day < p_to::timestamptz + interval '4 days'
      and d.production_date between p_from and p_to
      and (p_shifts is null or d.shift_key = any (p_shifts))
    group by d.workstation_key;
end
$$;
