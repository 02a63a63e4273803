-- The dashboard's leaderboard and heatmap. A period is dates or a window on UTC hours.

create or replace function floor.scheduled_parts(
    p_site_key integer, p_from_date date, p_to_date date,
    p_from timestamptz, p_to timestamptz, p_shifts integer[])
returns table (hour timestamptz, production_date date, shift_key integer, scheduled_us bigint)
language sql stable
set search_path = floor, pg_temp
as $$
-- Scheduled time of a period up to now, per UTC hour, production date and shift.
    select c.hour, c.production_date, c.shift_key,
        sum(floor.microseconds(least(c.ends_at, r.aggregated_now) - c.starts_at))::bigint
    from floor.calendar_slices c
    join floor.refresh_state r on r.site_key = c.site_key
    where c.site_key = p_site_key
      and c.starts_at < r.aggregated_now
      and c.shift_key <> 0 and not c.in_break
      and (p_shifts is null or c.shift_key = any (p_shifts))
      and (p_from_date is null or c.production_date between p_from_date and p_to_date)
      and (p_from is null or c.hour >= p_from and c.hour < p_to)
    group by c.hour, c.production_date, c.shift_key
$$;

create or replace function floor.unobserved_in_shifts(
    p_site_key integer, p_from_date date, p_to_date date,
    p_from timestamptz, p_to timestamptz, p_shifts integer[])
returns table (worker_key integer, unobserved_us bigint)
language sql stable
set search_path = floor, pg_temp
as $$
-- Time of the shifts (at a site without shifts: of the days) in which a worker was seen,
-- for which no camera says anything about that worker; breaks left out. Seen: for a tenth
-- of it at least; a few minutes over into the next shift do not make it the worker's.
    with shifts as (
        select s.production_date, s.shift_key, sum(s.scheduled_us) as scheduled_us
        from floor.scheduled_parts(p_site_key, p_from_date, p_to_date, p_from, p_to, p_shifts) s
        group by s.production_date, s.shift_key
    ),
    observed as (
        select d.worker_key, d.production_date, d.shift_key,
            sum(d.working_us + d.idle_us + d.absent_us) as observed_us
        from floor.activity_daily d
        where p_from_date is not null
          and d.site_key = p_site_key
          and d.day >= p_from_date::timestamptz - interval '1 day'
          and d.day < p_to_date::timestamptz + interval '4 days'
          and d.production_date between p_from_date and p_to_date
        group by d.worker_key, d.production_date, d.shift_key
        union all
        select h.worker_key, h.production_date, h.shift_key,
            sum(h.working_us + h.idle_us + h.absent_us)
        from floor.activity_hourly h
        where p_from is not null
          and h.site_key = p_site_key and h.hour >= p_from and h.hour < p_to
        group by h.worker_key, h.production_date, h.shift_key
    )
    select o.worker_key, sum(greatest(0, s.scheduled_us - o.observed_us))::bigint
    from observed o
    join shifts s on s.production_date = o.production_date and s.shift_key = o.shift_key
    where o.observed_us * 10 >= s.scheduled_us
    group by o.worker_key
$$;

create or replace function analytics.dashboard_leaderboard(
    site text, from_date date, to_date date,
    window_from timestamptz, window_to timestamptz, shift text)
returns table (
    site_id text, worker_id text, name text,
    utilization double precision, units bigint, units_per_hour double precision,
    working_s double precision, idle_s double precision, absent_s double precision,
    break_s double precision, unobserved_s double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Workers that were seen in the period. unobserved_s is that of the shifts they were seen
-- in, so that nobody is judged by silence, nor by the shift they are not in. A pseudonym
-- stands for both id and name.
declare
    asked integer;
    asked_id text;
    shift_keys integer[] := floor.shifts_asked(floor.sites_asked(site), shift);
begin
    foreach asked in array floor.sites_asked(site) loop
        continue when shift is not null and not exists (
            select from floor.shifts h where h.site_key = asked and h.name = shift);
        asked_id := (select s.site_id from floor.sites s where s.site_key = asked);
        return query
        with metrics as (
            select m.* from analytics.worker_metrics_by_date(asked_id, from_date, to_date, shift) m
            where from_date is not null
            union all
            select m.* from analytics.worker_metrics(asked_id, window_from, window_to, shift) m
            where window_from is not null
        )
        select
            asked_id, coalesce(w.pseudonym, m.worker_id),
            coalesce(w.pseudonym, m.name, m.worker_id),
            m.utilization, m.units, m.units_per_hour,
            m.working_s, m.idle_s, m.absent_s, m.break_s, floor.seconds(u.unobserved_us)
        from metrics m
        join floor.workers w on w.site_key = asked and w.worker_id = m.worker_id
        left join floor.unobserved_in_shifts(
            asked, from_date, to_date, window_from, window_to, shift_keys) u
          on u.worker_key = w.worker_key
        where m.events > 0 or m.units > 0
           or m.working_s + m.idle_s + m.absent_s + m.break_s > 0
        order by m.utilization desc nulls last, m.units desc, m.worker_id;
    end loop;
end
$$;

create or replace function analytics.dashboard_heatmap(
    site text, from_date date, to_date date,
    window_from timestamptz, window_to timestamptz, shift text, by_time_of_day boolean)
returns table (
    site_id text, workstation_id text, name text,
    hour timestamptz, time_of_day time,
    occupied_s double precision, scheduled_s double precision, utilization double precision)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Workstation by UTC hour, or by the local time of day at which the hour begins: occupied
-- time, and its share of the time scheduled. Hours that nobody scheduled or used are left out.
declare
    asked integer;
    zone text;
    first timestamptz := coalesce(window_from, from_date::timestamptz - interval '1 day');
    last timestamptz := coalesce(window_to, to_date::timestamptz + interval '4 days');
    shift_keys integer[] := floor.shifts_asked(floor.sites_asked(site), shift);
begin
    foreach asked in array floor.sites_asked(site) loop
        zone := floor.current_zone(asked);
        return query
        with columns as (
            select c.at_hour, c.at_time, sum(c.scheduled_us) as scheduled_us
            from (
                select
                    case when not by_time_of_day then s.hour end as at_hour,
                    case when by_time_of_day then (s.hour at time zone zone)::time end as at_time,
                    s.scheduled_us
                from floor.scheduled_parts(
                    asked, from_date, to_date, window_from, window_to, shift_keys) s
            ) c
            group by c.at_hour, c.at_time
        ),
        presence as (
            select h.workstation_key,
                case when not by_time_of_day then h.hour end as at_hour,
                case when by_time_of_day then (h.hour at time zone zone)::time end as at_time,
                sum(h.occupied_us) as occupied_us,
                sum(h.occupied_us) filter (where h.shift_key <> 0) as in_shift_us
            from floor.presence_hourly h
            where h.site_key = asked and h.hour >= first and h.hour < last
              and (from_date is null or h.production_date between from_date and to_date)
              and (shift_keys is null or h.shift_key = any (shift_keys))
            group by 1, 2, 3
        ),
        cells as (
            select b.workstation_key, c.at_hour, c.at_time
            from columns c
            join floor.workstations b on b.site_key = asked
            union
            select p.workstation_key, p.at_hour, p.at_time from presence p
        )
        select
            (select s.site_id from floor.sites s where s.site_key = asked),
            b.workstation_id, coalesce(b.name, b.workstation_id), k.at_hour, k.at_time,
            floor.seconds(p.occupied_us), floor.seconds(c.scheduled_us),
            floor.ratio(coalesce(p.in_shift_us, 0), c.scheduled_us)
        from cells k
        join floor.workstations b on b.workstation_key = k.workstation_key
        left join columns c
          on c.at_hour is not distinct from k.at_hour and c.at_time is not distinct from k.at_time
        left join presence p
          on p.workstation_key = k.workstation_key
         and p.at_hour is not distinct from k.at_hour and p.at_time is not distinct from k.at_time
        order by b.workstation_id, k.at_hour, k.at_time;
    end loop;
end
$$;

comment on function analytics.dashboard_leaderboard(
    text, date, date, timestamptz, timestamptz, text) is
    'Workers that were seen in a period, with all their time';
comment on function analytics.dashboard_heatmap(
    text, date, date, timestamptz, timestamptz, text, boolean) is
    'Workstations of a period by UTC hour, or by local time of day';
