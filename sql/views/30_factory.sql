-- Factory level: one site, or all of them; means are over workers, rates from sums.

-- Sums come from the site's own rows. The means over workers are looked up hour by
-- hour, and not at all where nobody asks for them: the planner drops a join of one row.
create or replace view analytics.factory_hourly as
with totals as (
    select a.site_key, a.hour,
        sum(a.working_us::double precision) as working_us, -- whole numbers below 2^53: exact
        sum(a.idle_us::double precision) as idle_us,
        sum(a.units) as units
    from floor.site_hourly a
    group by a.site_key, a.hour
)
select
    s.site_id, t.hour,
    floor.seconds(t.working_us) as working_s,
    floor.seconds(t.idle_us) as idle_s,
    t.units::bigint as units,
    m.active_workers,
    m.average_utilization,
    floor.ratio(t.working_us, t.working_us + t.idle_us) as weighted_utilization,
    m.average_production_rate,
    floor.per_hour(t.units, t.working_us) as production_rate
from totals t
join floor.sites s on s.site_key = t.site_key
left join lateral (
    select
        count(*) filter (where p.working_us + p.idle_us > 0) as active_workers,
        avg(floor.ratio(p.working_us, p.working_us + p.idle_us)) as average_utilization,
        avg(floor.per_hour(p.units_working, p.working_us)) filter (where p.units_working > 0)
            as average_production_rate
    from (
        select
            sum(a.working_us::double precision) as working_us,
            sum(a.idle_us::double precision) as idle_us,
            sum(a.units_working::double precision) as units_working
        from floor.activity_hourly a
        where a.site_key = t.site_key and a.hour = t.hour
        group by a.worker_key
    ) p
) m on true;

create or replace view analytics.factory_daily as
with per_worker as (
    select a.site_key, a.production_date, a.worker_key,
        sum(a.working_us::double precision) as working_us, -- whole numbers below 2^53: exact
        sum(a.idle_us::double precision) as idle_us,
        sum(a.units::double precision) as units,
        sum(a.units_working::double precision) as units_working
    from floor.activity_daily a
    group by a.site_key, a.production_date, a.worker_key
)
select
    s.site_id, p.production_date,
    floor.seconds(sum(p.working_us)) as working_s,
    floor.seconds(sum(p.idle_us)) as idle_s,
    sum(p.units)::bigint as units,
    count(*) filter (where p.working_us + p.idle_us > 0) as active_workers,
    avg(floor.ratio(p.working_us, p.working_us + p.idle_us)) as average_utilization,
    floor.ratio(sum(p.working_us), sum(p.working_us + p.idle_us)) as weighted_utilization,
    avg(floor.per_hour(p.units_working, p.working_us)) filter (where p.units_working > 0)
        as average_production_rate,
    floor.per_hour(sum(p.units), sum(p.working_us)) as production_rate
from per_worker p
join floor.sites s on s.site_key = p.site_key
group by s.site_id, p.production_date;

create or replace function floor.factory_metric_row(
    p_sites integer[], p_from timestamptz, p_to timestamptz,
    p_from_date date, p_to_date date, p_shifts integer[])
returns table (
    working_s double precision, idle_s double precision, units bigint, active_workers bigint,
    average_utilization double precision, weighted_utilization double precision,
    average_production_rate double precision, production_rate double precision)
language sql stable
set search_path = floor, pg_temp
as $$
-- One row, over a window or over production dates (the other pair of bounds is null).
    with sums as (
        select t.* from floor.activity_sums(p_sites, p_from, p_to, p_shifts) t
        where p_from is not null
        union all
        select d.* from floor.activity_sums_by_date(p_sites, p_from_date, p_to_date, p_shifts) d
        where p_from_date is not null
    ),
    per_worker as (
        select s.worker_key, sum(s.working_us) as working_us, sum(s.idle_us) as idle_us,
            sum(s.units) as units, sum(s.units_working) as units_working
        from sums s
        group by s.worker_key
    )
    select
        floor.seconds(sum(p.working_us)), floor.seconds(sum(p.idle_us)),
        coalesce(sum(p.units), 0)::bigint,
        count(*) filter (where p.working_us + p.idle_us > 0),
        avg(floor.ratio(p.working_us, p.working_us + p.idle_us)),
        floor.ratio(sum(p.working_us), sum(p.working_us + p.idle_us)),
        avg(floor.per_hour(p.units_working, p.working_us)) filter (where p.units_working > 0),
        floor.per_hour(sum(p.units), sum(p.working_us))
    from per_worker p
$$;

create or replace function analytics.factory_metrics(
    site text, from_time timestamptz, to_time timestamptz, shift text default null)
returns table (
    working_s double precision, idle_s double precision, units bigint, active_workers bigint,
    average_utilization double precision, weighted_utilization double precision,
    average_production_rate double precision, production_rate double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
declare
    sites_asked integer[] := floor.sites_asked(site);
    shifts_asked integer[] := floor.shifts_asked(sites_asked, shift);
begin
    perform floor.require_window(from_time, to_time);
    return query select * from floor.factory_metric_row(
        sites_asked, from_time, to_time, null, null, shifts_asked);
end
$$;

create or replace function analytics.factory_metrics_by_date(
    site text, from_date date, to_date date, shift text default null)
returns table (
    working_s double precision, idle_s double precision, units bigint, active_workers bigint,
    average_utilization double precision, weighted_utilization double precision,
    average_production_rate double precision, production_rate double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
declare
    sites_asked integer[] := floor.sites_asked(site);
    shifts_asked integer[] := floor.shifts_asked(sites_asked, shift);
begin
    perform floor.require_dates(from_date, to_date);
    return query select * from floor.factory_metric_row(
        sites_asked, null, null, from_date, to_date, shifts_asked);
end
$$;

comment on view analytics.factory_hourly is 'Site x UTC hour: sums, means over workers, rates from sums';
comment on view analytics.factory_daily is 'Site x production date: sums, means over workers, rates from sums';
comment on function analytics.factory_metrics is 'One row for a site (null: all sites) over a window on UTC hours, all shifts or one';
comment on function analytics.factory_metrics_by_date is 'One row for a site (null: all sites) over production dates, both included, all shifts or one';
