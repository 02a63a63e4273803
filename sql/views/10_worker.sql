-- Worker level: hourly, by production date, by shift, and for any window.

create or replace view analytics.worker_hourly as
select
    s.site_id, w.worker_id, b.workstation_id, h.hour, h.production_date, sh.name as shift,
    floor.seconds(sum(h.working_us)) as working_s,
    floor.seconds(sum(h.idle_us)) as idle_s,
    floor.seconds(sum(h.absent_us)) as absent_s,
    floor.seconds(sum(h.break_us)) as break_s,
    sum(h.events)::bigint as events,
    sum(h.units)::bigint as units,
    sum(h.units_working)::bigint as units_working,
    floor.ratio(sum(h.working_us), sum(h.working_us + h.idle_us)) as utilization,
    floor.per_hour(sum(h.units_working), sum(h.working_us)) as units_per_hour
from floor.activity_hourly h
join floor.sites s on s.site_key = h.site_key
join floor.workers w on w.worker_key = h.worker_key
join floor.workstations b on b.workstation_key = h.workstation_key
left join floor.shifts sh on sh.shift_key = h.shift_key
group by s.site_id, w.worker_id, b.workstation_id, h.hour, h.production_date, sh.name;

create or replace view analytics.worker_daily as
select
    s.site_id, w.worker_id, d.production_date,
    floor.seconds(sum(d.working_us)) as working_s,
    floor.seconds(sum(d.idle_us)) as idle_s,
    floor.seconds(sum(d.absent_us)) as absent_s,
    floor.seconds(sum(d.break_us)) as break_s,
    sum(d.events)::bigint as events,
    sum(d.units)::bigint as units,
    sum(d.units_working)::bigint as units_working,
    floor.ratio(sum(d.working_us), sum(d.working_us + d.idle_us)) as utilization,
    floor.ratio(sum(d.working_us), sum(d.working_us + d.idle_us + d.absent_us)) as observed_utilization,
    floor.per_hour(sum(d.units_working), sum(d.working_us)) as units_per_hour
from floor.activity_daily d
join floor.sites s on s.site_key = d.site_key
join floor.workers w on w.worker_key = d.worker_key
group by s.site_id, w.worker_id, d.production_date;

create or replace view analytics.worker_shift as
select
    s.site_id, w.worker_id, d.production_date, sh.name as shift,
    floor.seconds(sum(d.working_us)) as working_s,
    floor.seconds(sum(d.idle_us)) as idle_s,
    floor.seconds(sum(d.absent_us)) as absent_s,
    floor.seconds(sum(d.break_us)) as break_s,
    sum(d.events)::bigint as events,
    sum(d.units)::bigint as units,
    sum(d.units_working)::bigint as units_working,
    floor.ratio(sum(d.working_us), sum(d.working_us + d.idle_us)) as utilization,
    floor.ratio(sum(d.working_us), sum(d.working_us + d.idle_us + d.absent_us)) as observed_utilization,
    floor.per_hour(sum(d.units_working), sum(d.working_us)) as units_per_hour
from floor.activity_daily d
join floor.sites s on s.site_key = d.site_key
join floor.workers w on w.worker_key = d.worker_key
left join floor.shifts sh on sh.shift_key = d.shift_key
group by s.site_id, w.worker_id, d.production_date, sh.name;

create or replace function floor.worker_metric_rows(
    p_site_key integer, p_wall_us bigint, p_from timestamptz, p_to timestamptz,
    p_from_date date, p_to_date date, p_shifts integer[])
returns table (
    worker_id text, name text,
    working_s double precision, idle_s double precision, absent_s double precision,
    break_s double precision, unobserved_s double precision,
    events bigint, units bigint, units_working bigint,
    utilization double precision, observed_utilization double precision,
    units_per_hour double precision, units_per_observed_hour double precision)
language sql stable
set search_path = floor, pg_temp
as $$
-- Every registered worker of a site, over a window or over production dates (the other
-- pair of bounds is null). p_wall_us: the wall clock that the states share out.
    with sums as (
        select t.* from floor.activity_sums(array[p_site_key], p_from, p_to, p_shifts) t
        where p_from is not null
        union all
        select d.* from floor.activity_sums_by_date(array[p_site_key], p_from_date, p_to_date, p_shifts) d
        where p_from_date is not null
    ),
    totals as (
        select s.worker_key, sum(s.working_us) as working_us, sum(s.idle_us) as idle_us,
            sum(s.absent_us) as absent_us, sum(s.break_us) as break_us,
            sum(s.events) as events, sum(s.units) as units, sum(s.units_working) as units_working
        from sums s
        group by s.worker_key
    )
    select
        w.worker_id, w.name,
        floor.seconds(t.working_us), floor.seconds(t.idle_us), floor.seconds(t.absent_us),
        floor.seconds(t.break_us),
        floor.seconds(p_wall_us - coalesce(t.working_us + t.idle_us + t.absent_us + t.break_us, 0)),
        coalesce(t.events, 0)::bigint, coalesce(t.units, 0)::bigint, coalesce(t.units_working, 0)::bigint,
        floor.ratio(t.working_us, t.working_us + t.idle_us),
        floor.ratio(t.working_us, t.working_us + t.idle_us + t.absent_us),
        floor.per_hour(t.units_working, t.working_us),
        floor.per_hour(t.units, t.working_us + t.idle_us + t.absent_us)
    from floor.workers w
    left join totals t on t.worker_key = w.worker_key
    where w.site_key = p_site_key
    order by w.worker_id
$$;

create or replace function analytics.worker_metrics(
    site text, from_time timestamptz, to_time timestamptz, shift text default null)
returns table (
    worker_id text, name text,
    working_s double precision, idle_s double precision, absent_s double precision,
    break_s double precision, unobserved_s double precision,
    events bigint, units bigint, units_working bigint,
    utilization double precision, observed_utilization double precision,
    units_per_hour double precision, units_per_observed_hour double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
declare
    site_asked integer := floor.key_of_site(site);
    shifts_asked integer[] := floor.shifts_asked(array[site_asked], shift);
    wall_us bigint;
begin
    perform floor.require_window(from_time, to_time);
    wall_us := case
        when shifts_asked is null then greatest(0, coalesce(floor.microseconds(
            least(to_time, coalesce(floor.now_of(site_asked), from_time)) - from_time), 0))
        else floor.scheduled_us(site_asked, from_time, to_time, shifts_asked, true)
    end;
    return query select * from floor.worker_metric_rows(
        site_asked, wall_us, from_time, to_time, null, null, shifts_asked);
end
$$;

create or replace function analytics.worker_metrics_by_date(
    site text, from_date date, to_date date, shift text default null)
returns table (
    worker_id text, name text,
    working_s double precision, idle_s double precision, absent_s double precision,
    break_s double precision, unobserved_s double precision,
    events bigint, units bigint, units_working bigint,
    utilization double precision, observed_utilization double precision,
    units_per_hour double precision, units_per_observed_hour double precision)
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
        floor.worker_metric_rows(site_asked, c.wall_us, null, null, from_date, to_date, shifts_asked) r;
end
$$;

comment on view analytics.worker_hourly is 'Worker x workstation x UTC hour x production date x shift: sums in seconds, rates from sums';
comment on view analytics.worker_daily is 'Worker x production date: sums in seconds over all workstations and shifts, rates from sums';
comment on view analytics.worker_shift is 'Worker x production date x shift (null outside shifts): sums in seconds, rates from sums';
comment on function analytics.worker_metrics is 'Every registered worker over a window on UTC hours, all shifts or one: the metrics of metrics.md, up to the last refresh';
comment on function analytics.worker_metrics_by_date is 'Every registered worker over production dates, both included, all shifts or one';
