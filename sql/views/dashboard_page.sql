-- The numbers of the dashboard's overview page. A period is dates or a window on UTC
-- hours, as analytics.dashboard_period gives it. Formulas are metrics.md's: floor.ratio,
-- floor.per_hour and the metric functions hold them.

create or replace function floor.dashboard_sums(
    site text, from_date date, to_date date,
    window_from timestamptz, window_to timestamptz, shift text)
returns table (
    weighted_utilization double precision, average_utilization double precision,
    units bigint, production_rate double precision, active_workers bigint,
    working_s double precision, idle_s double precision,
    occupied_s double precision, operating_s double precision)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- The factory's metrics of a period, and presence summed over its workstations.
declare
    site_keys integer[] := floor.sites_asked(site);
    shift_keys integer[] := floor.shifts_asked(site_keys, shift);
begin
    if from_date is not null then
        return query
        select f.weighted_utilization, f.average_utilization, f.units::bigint, f.production_rate,
            f.active_workers::bigint, f.working_s, f.idle_s, p.occupied_s, p.operating_s
        from analytics.factory_metrics_by_date(site, from_date, to_date, shift) f
        cross join (
            select floor.seconds(sum(s.occupied_us)) as occupied_s,
                floor.seconds(sum(s.operating_us)) as operating_s
            from unnest(site_keys) as k (site_key)
            cross join lateral floor.presence_sums_by_date(
                k.site_key, from_date, to_date, shift_keys) s
        ) p;
    elsif window_from is not null then
        return query
        select f.weighted_utilization, f.average_utilization, f.units::bigint, f.production_rate,
            f.active_workers::bigint, f.working_s, f.idle_s, p.occupied_s, p.operating_s
        from analytics.factory_metrics(site, window_from, window_to, shift) f
        cross join (
            select floor.seconds(sum(s.occupied_us)) as occupied_s,
                floor.seconds(sum(s.operating_us)) as operating_s
            from unnest(site_keys) as k (site_key)
            cross join lateral floor.presence_sums(
                k.site_key, window_from, window_to, shift_keys) s
        ) p;
    end if;
end
$$;

create or replace function analytics.dashboard_kpis(
    site text, range text, shift text default null,
    from_time timestamptz default null, to_time timestamptz default null)
returns table (
    weighted_utilization double precision, weighted_utilization_change double precision,
    average_utilization double precision,
    units bigint, units_change double precision,
    production_rate double precision, production_rate_change double precision,
    active_workers bigint, active_workers_change bigint,
    working_s double precision, idle_s double precision,
    occupied_s double precision, occupied_change double precision,
    operating_s double precision, operating_change double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Metrics of a period and their change: of utilization the difference, of workers the
-- number, of all else the share. Compared is what dashboard_period says: the whole period,
-- or while it runs the whole hours so far with the same hours before.
begin
    return query
    with period as (
        select * from analytics.dashboard_period(site, range, shift, from_time, to_time)
    ),
    shown as (
        select s.*
        from period p
        cross join lateral floor.dashboard_sums(
            site, p.from_date, p.to_date, p.window_from, p.window_to, p.shift_name) s
    ),
    compared as (
        select s.* from period p cross join shown s where not p.running
        union all
        select s.*
        from period p
        cross join lateral floor.dashboard_sums(
            site, null, null, p.so_far_from, p.so_far_to, p.shift_name) s
        where p.running and p.so_far_from < p.so_far_to
    ),
    before as (
        select s.*
        from period p
        cross join lateral floor.dashboard_sums(
            site,
            case when not p.running then p.before_from_date end,
            case when not p.running then p.before_to_date end,
            p.before_from, p.before_to, p.shift_name) s
    )
    select
        s.weighted_utilization, c.weighted_utilization - b.weighted_utilization,
        s.average_utilization,
        s.units, floor.ratio(c.units - b.units, b.units),
        s.production_rate,
        (c.production_rate - b.production_rate) / nullif(b.production_rate, 0),
        s.active_workers, c.active_workers - b.active_workers,
        s.working_s, s.idle_s,
        s.occupied_s, (c.occupied_s - b.occupied_s) / nullif(b.occupied_s, 0),
        s.operating_s, (c.operating_s - b.operating_s) / nullif(b.operating_s, 0)
    from shown s
    left join compared c on true
    left join before b on true;
end
$$;

create or replace function analytics.dashboard_trend(
    site text, from_date date, to_date date,
    window_from timestamptz, window_to timestamptz, shift text, step text)
returns table (
    hour timestamptz, production_date date,
    utilization double precision, units bigint, production_rate double precision,
    active_workers bigint, working_s double precision,
    occupied_s double precision, operating_s double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- A period in steps of an hour or a day (of production). Steps with nothing in them are
-- left out.
declare
    site_keys integer[] := floor.sites_asked(site);
    shift_keys integer[] := floor.shifts_asked(site_keys, shift);
    first timestamptz := coalesce(window_from, from_date::timestamptz - interval '1 day');
    last timestamptz := coalesce(window_to, to_date::timestamptz + interval '4 days');
    hourly boolean := step = 'hour';
begin
    return query
    with by_worker as (
        select
            case when hourly then h.hour end as at_hour,
            case when not hourly then h.production_date end as on_date,
            sum(h.working_us) as working_us, sum(h.idle_us) as idle_us, sum(h.units) as made
        from floor.activity_hourly h
        where (hourly or window_from is not null)
          and h.site_key = any (site_keys) and h.hour >= first and h.hour < last
          and (from_date is null or h.production_date between from_date and to_date)
          and (shift_keys is null or h.shift_key = any (shift_keys))
        group by 1, 2, h.site_key, h.worker_key
        union all
        select null, d.production_date, sum(d.working_us), sum(d.idle_us), sum(d.units)
        from floor.activity_daily d
        where not hourly and window_from is null
          and d.site_key = any (site_keys) and d.day >= first and d.day < last
          and d.production_date between from_date and to_date
          and (shift_keys is null or d.shift_key = any (shift_keys))
        group by d.production_date, d.site_key, d.worker_key
    ),
    work as (
        select w.at_hour, w.on_date, sum(w.working_us) as working_us, sum(w.idle_us) as idle_us,
            sum(w.made) as made, count(*) filter (where w.working_us + w.idle_us > 0) as active
        from by_worker w
        group by w.at_hour, w.on_date
    ),
    presence as (
        select
            case when hourly then h.hour end as at_hour,
            case when not hourly then h.production_date end as on_date,
            sum(h.occupied_us) as occupied_us, sum(h.operating_us) as operating_us
        from floor.presence_hourly h
        where h.site_key = any (site_keys) and h.hour >= first and h.hour < last
          and (from_date is null or h.production_date between from_date and to_date)
          and (shift_keys is null or h.shift_key = any (shift_keys))
        group by 1, 2
    )
    select
        w.at_hour, w.on_date,
        floor.ratio(w.working_us, w.working_us + w.idle_us),
        w.made::bigint,
        floor.per_hour(w.made, w.working_us),
        w.active,
        floor.seconds(w.working_us), floor.seconds(p.occupied_us), floor.seconds(p.operating_us)
    from work w
    left join presence p
      on p.at_hour is not distinct from w.at_hour and p.on_date is not distinct from w.on_date
    order by w.at_hour, w.on_date;
end
$$;

comment on function analytics.dashboard_kpis(text, text, text, timestamptz, timestamptz) is
    'Metrics of a range of the dashboard and their change against the period before';
comment on function analytics.dashboard_trend(
    text, date, date, timestamptz, timestamptz, text, text) is
    'Metrics of a period step by step: step is hour or day';
