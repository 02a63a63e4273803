-- Workstation level: benches are scheduled by the calendar, whether anyone came or not.

create or replace view analytics.workstation_hourly as
with scheduled as (
    select c.site_key, c.hour,
        coalesce(sum(floor.microseconds(least(c.ends_at, r.aggregated_now) - c.starts_at))
            filter (where c.shift_key <> 0 and not c.in_break), 0)::bigint as scheduled_us
    from floor.calendar_slices c
    join floor.refresh_state r on r.site_key = c.site_key
    where c.starts_at <= r.aggregated_now and c.hour >= floor.hour_of(r.first_event_at)
    group by c.site_key, c.hour
),
presence as (
    select h.site_key, h.workstation_key, h.hour,
        sum(h.occupied_us) as occupied_us, sum(h.operating_us) as operating_us,
        coalesce(sum(h.occupied_us) filter (where h.shift_key <> 0), 0) as scheduled_occupied_us
    from floor.presence_hourly h
    group by h.site_key, h.workstation_key, h.hour
),
produced as (
    select h.site_key, h.workstation_key, h.hour, sum(h.units) as units
    from floor.activity_hourly h
    group by h.site_key, h.workstation_key, h.hour
)
select
    s.site_id, b.workstation_id, c.hour,
    floor.seconds(p.occupied_us) as occupied_s,
    floor.seconds(p.operating_us) as operating_s,
    floor.seconds(c.scheduled_us) as scheduled_s,
    coalesce(u.units, 0)::bigint as units,
    floor.ratio(coalesce(p.scheduled_occupied_us, 0), c.scheduled_us) as utilization,
    floor.per_hour(coalesce(u.units, 0), p.occupied_us) as throughput
from scheduled c
join floor.sites s on s.site_key = c.site_key
join floor.workstations b on b.site_key = c.site_key
left join presence p
  on p.site_key = c.site_key and p.workstation_key = b.workstation_key and p.hour = c.hour
left join produced u
  on u.site_key = c.site_key and u.workstation_key = b.workstation_key and u.hour = c.hour;

create or replace view analytics.workstation_daily as
with scheduled as (
    select c.site_key, c.production_date,
        coalesce(sum(floor.microseconds(least(c.ends_at, r.aggregated_now) - c.starts_at))
            filter (where c.shift_key <> 0 and not c.in_break), 0)::bigint as scheduled_us
    from floor.calendar_slices c
    join floor.refresh_state r on r.site_key = c.site_key
    where c.starts_at <= r.aggregated_now
    group by c.site_key, c.production_date
    -- Whole dates, from that of the first event on: dates may come back where a zone changes.
    having bool_or(c.ends_at > r.first_event_at)
),
presence as (
    select d.site_key, d.workstation_key, d.production_date,
        sum(d.occupied_us) as occupied_us, sum(d.operating_us) as operating_us,
        coalesce(sum(d.occupied_us) filter (where d.shift_key <> 0), 0) as scheduled_occupied_us
    from floor.presence_daily d
    group by d.site_key, d.workstation_key, d.production_date
),
produced as (
    select d.site_key, d.workstation_key, d.production_date, sum(d.units) as units
    from floor.activity_daily d
    group by d.site_key, d.workstation_key, d.production_date
)
select
    s.site_id, b.workstation_id, c.production_date,
    floor.seconds(p.occupied_us) as occupied_s,
    floor.seconds(p.operating_us) as operating_s,
    floor.seconds(c.scheduled_us) as scheduled_s,
    coalesce(u.units, 0)::bigint as units,
    floor.ratio(coalesce(p.scheduled_occupied_us, 0), c.scheduled_us) as utilization,
    floor.per_hour(coalesce(u.units, 0), p.occupied_us) as throughput
from scheduled c
join floor.sites s on s.site_key = c.site_key
join floor.workstations b on b.site_key = c.site_key
left join presence p
  on p.site_key = c.site_key and p.workstation_key = b.workstation_key
 and p.production_date = c.production_date
left join produced u
  on u.site_key = c.site_key and u.workstation_key = b.workstation_key
 and u.production_date = c.production_date;

create or replace function floor.workstation_metric_rows(
    p_site_key integer, p_scheduled_us bigint, p_from timestamptz, p_to timestamptz,
    p_from_date date, p_to_date date, p_shifts integer[])
returns table (
    workstation_id text, name text,
    occupied_s double precision, operating_s double precision, scheduled_s double precision,
    utilization double precision, operating_utilization double precision,
    units bigint, throughput double precision, throughput_per_scheduled_hour double precision)
language sql stable
set search_path = floor, pg_temp
as $$
-- Every registered workstation, over a window or over production dates (the other pair of
-- bounds is null).
    with presence as (
        select t.* from floor.presence_sums(p_site_key, p_from, p_to, p_shifts) t
        where p_from is not null
        union all
        select d.* from floor.presence_sums_by_date(p_site_key, p_from_date, p_to_date, p_shifts) d
        where p_from_date is not null
    ),
    sums as (
        select t.workstation_key, t.units
        from floor.activity_sums(array[p_site_key], p_from, p_to, p_shifts, true) t
        where p_from is not null
        union all
        select d.workstation_key, d.units
        from floor.activity_sums_by_date(
            array[p_site_key], p_from_date, p_to_date, p_shifts, true) d
        where p_from_date is not null
    ),
    produced as (
        select s.workstation_key, sum(s.units) as units from sums s group by s.workstation_key
    )
    select
        b.workstation_id, b.name,
        floor.seconds(p.occupied_us), floor.seconds(p.operating_us), floor.seconds(p_scheduled_us),
        floor.ratio(coalesce(p.scheduled_occupied_us, 0), p_scheduled_us),
        floor.ratio(coalesce(p.scheduled_operating_us, 0), p_scheduled_us),
        coalesce(u.units, 0)::bigint,
        floor.per_hour(coalesce(u.units, 0), p.occupied_us),
        floor.per_hour(coalesce(u.units, 0), p_scheduled_us)
    from floor.workstations b
    left join presence p on p.workstation_key = b.workstation_key
    left join produced u on u.workstation_key = b.workstation_key
    where b.site_key = p_site_key
    order by b.workstation_id
$$;

create or replace function analytics.workstation_metrics(
    site text, from_time timestamptz, to_time timestamptz, shift text default null)
returns table (
    workstation_id text, name text,
    occupied_s double precision, operating_s double precision, scheduled_s double precision,
    utilization double precision, operating_utilization double precision,
    units bigint, throughput double precision, throughput_per_scheduled_hour double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
declare
    site_asked integer := floor.key_of_site(site);
    shifts_asked integer[] := floor.shifts_asked(array[site_asked], shift);
begin
    perform floor.require_window(from_time, to_time);
    return query select * from floor.workstation_metric_rows(
        site_asked, floor.scheduled_us(site_asked, from_time, to_time, shifts_asked),
        from_time, to_time, null, null, shifts_asked);
end
$$;

create or replace function analytics.workstation_metrics_by_date(
    site text, from_date date, to_date date, shift text default null)
returns table (
    workstation_id text, name text,
    occupied_s double precision, operating_s double precision, scheduled_s double precision,
    utilization double precision, operating_utilization double precision,
    units bigint, throughput double precision, throughput_per_scheduled_hour double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
declare
    site_asked integer := floor.key_of_site(site);
    shifts_asked integer[] := floor.shifts_asked(array[site_asked], shift);
begin
    perform floor.require_dates(from_date, to_date);
    return query select r.* from
        floor.calendar_us_by_date(site_asked, from_date, to_date, shifts_asked) c,
        floor.workstation_metric_rows(
            site_asked, c.scheduled_us, null, null, from_date, to_date, shifts_asked) r;
end
$$;

create or replace function analytics.scheduled_seconds(
    site text, from_time timestamptz, to_time timestamptz, shift text default null)
returns double precision
language plpgsql stable security definer
set search_path = floor, pg_temp
as $$
declare
    site_asked integer := floor.key_of_site(site);
begin
    return floor.scheduled_us(site_asked, from_time, to_time,
        floor.shifts_asked(array[site_asked], shift))::double precision / 1e6;
end
$$;

comment on view analytics.workstation_hourly is 'Workstation x UTC hour, from the site''s first event to its last refresh, idle benches included';
comment on view analytics.workstation_daily is 'Workstation x production date, from that of the site''s first event to the last refresh, idle benches included';
comment on function analytics.workstation_metrics is 'Every registered workstation over a window on UTC hours, all shifts or one';
comment on function analytics.workstation_metrics_by_date is 'Every registered workstation over production dates, both included, all shifts or one';
comment on function analytics.scheduled_seconds is 'Seconds of shifts in a window up to the last refresh, less uncounted breaks; around the clock where no shift is in force';
