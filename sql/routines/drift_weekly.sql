-- The two signals that compare like with like: every hour with the same hours of the weeks
-- before it (local time). What a week of the baseline is like is learnt once a day.

create or replace function ops.local_hours(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns table (hour timestamptz, week_hour integer, in_shift boolean)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- The UTC hours of [p_from, p_to): hour of the local week from Monday, and whether a shift
-- runs in it (or none is in force at all).
declare
    zone text := (select v.timezone from floor.settings_spans v
                  where v.site_key = p_site_key and p_to >= v.valid_from and p_to < v.valid_to);
begin
    return query
    select g.hour,
        (extract(isodow from g.hour at time zone zone) * 24 - 24
         + extract(hour from g.hour at time zone zone))::integer,
        exists (
            select from floor.calendar_slices c
            where c.site_key = p_site_key and c.hour = g.hour and c.shift_key <> 0)
    from generate_series(p_from, p_to - interval '1 microsecond', interval '1 hour') as g (hour);
end
$$;

create or replace function ops.learn_weeks(p_site_key integer, p_span text, p_to timestamptz)
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- What each hour of the week was like in the 30 days before p_to: states, the median of
-- units, and how far an hour and a day lie from it by chance.
declare
    from_time timestamptz := p_to - interval '30 days';
begin
    delete from floor.model_weeks w where w.site_key = p_site_key and w.span = p_span;
    delete from floor.model_scales c where c.site_key = p_site_key and c.span = p_span;
    insert into floor.model_bases (site_key, span, base_to)
    values (p_site_key, p_span, p_to)
    on conflict (site_key, span) do update set base_to = excluded.base_to;
    with cameras as materialized (
        select h.hour, l.week_hour, l.in_shift, h.model_key, h.camera_key, h.working, h.idle,
            h.absent, h.units
        from ops.local_hours(p_site_key, from_time, p_to) l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_to
    ),
    told as (
        select c.* from cameras c where c.camera_key > 0
        union all
        select c.hour, c.week_hour, c.in_shift, c.model_key, -1, sum(c.working), sum(c.idle),
            sum(c.absent), sum(c.units)
        from cameras c
        group by c.hour, c.week_hour, c.in_shift, c.model_key
    ),
    weeks as materialized (
        select t.model_key, t.camera_key, t.week_hour, min(t.hour) as first_at,
            sum(t.working) as working, sum(t.idle) as idle, sum(t.absent) as absent,
            array_agg(t.units::double precision order by t.units, t.hour)
                filter (where t.in_shift) as units,
            array_agg(t.hour order by t.units, t.hour) filter (where t.in_shift) as hours
        from told t
        group by t.model_key, t.camera_key, t.week_hour
    ),
    -- Each hour against the median of its sisters without itself: the distance that an hour
    -- of the window has by chance. Two sisters at least.
    residuals as materialized (
        select w.model_key, w.camera_key, v.hour,
            v.units - (
                w.units[m.size / 2 + (m.size / 2 >= v.place)::integer]
                + w.units[(m.size + 1) / 2 + ((m.size + 1) / 2 >= v.place)::integer]) / 2 as residual
        from weeks w
        cross join lateral (select cardinality(w.units) as size) m
        cross join lateral unnest(w.units, w.hours) with ordinality as v (units, hour, place)
        where m.size >= 3
    ),
    by_hour as (
        select r.model_key, r.camera_key,
            -- The median misses benches that are empty now and then, the mean does not.
            greatest(1.4826 * percentile_cont(0.5) within group (order by abs(r.residual)),
                     1.2533 * avg(abs(r.residual))) as deviation
        from residuals r
        group by r.model_key, r.camera_key
    ),
    -- Hours of one day err together: days have a deviation of their own.
    by_day as (
        select d.model_key, d.camera_key, avg(d.hours) as hours,
            greatest(1.4826 * percentile_cont(0.5) within group (order by abs(d.residual)),
                     1.2533 * avg(abs(d.residual))) as deviation
        from (
            select r.model_key, r.camera_key, count(*) as hours, sum(r.residual) as residual
            from residuals r
            group by r.model_key, r.camera_key, date_trunc('day', r.hour)
        ) d
        group by d.model_key, d.camera_key
    ),
    scales as (
        insert into floor.model_scales
            (site_key, span, model_key, camera_key, first_at, hour_deviation, day_deviation, day_hours)
        select p_site_key, p_span, w.model_key, w.camera_key, min(w.first_at),
            max(h.deviation), max(d.deviation), max(d.hours)
        from weeks w
        left join by_hour h using (model_key, camera_key)
        left join by_day d using (model_key, camera_key)
        group by w.model_key, w.camera_key
    )
    insert into floor.model_weeks
        (site_key, span, model_key, camera_key, week_hour, working, idle, absent, units)
    select p_site_key, p_span, w.model_key, w.camera_key, w.week_hour, w.working, w.idle, w.absent,
        case when m.size >= 3 then (w.units[(m.size + 1) / 2] + w.units[(m.size + 2) / 2]) / 2 end
    from weeks w
    cross join lateral (select cardinality(w.units) as size) m;
end
$$;

create or replace function ops.weekly_findings(
    p_site_key integer, p_now timestamptz, p_span text)
returns table (
    signal text, model_key integer, camera_key integer, span text, verdict text,
    current double precision, baseline double precision, threshold double precision,
    events bigint, baseline_events bigint)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- state_mix and rate_shift of one window, every model and camera. Rates are of closed hours.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    hour0 timestamptz := floor.hour_of(p_now);
    from_time timestamptz := case p_span
        when 'day' then floor.hour_of(p_now) - interval '24 hours'
        else date_trunc('day', p_now) - interval '7 days' end;
    wanted_to timestamptz := date_trunc('day', from_time);
begin
    if not exists (select from floor.model_bases b
                   where b.site_key = p_site_key and b.span = p_span and b.base_to = wanted_to) then
        perform ops.learn_weeks(p_site_key, p_span, wanted_to);
    end if;
    return query
    with cameras as materialized (
        select h.hour, l.week_hour, l.in_shift and h.hour < hour0 as counts, h.model_key,
            h.camera_key, h.working, h.idle, h.absent, h.units
        from ops.local_hours(p_site_key, from_time, p_now) l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_now
    ),
    hourly as (
        select c.* from cameras c where c.camera_key > 0
        union all
        select c.hour, c.week_hour, c.counts, c.model_key, -1, sum(c.working), sum(c.idle),
            sum(c.absent), sum(c.units)
        from cameras c
        group by c.hour, c.week_hour, c.counts, c.model_key
    ),
    -- By hour of the week: a window may hold one twice.
    told as (
        select c.week_hour, c.model_key, c.camera_key, sum(c.working) as working,
            sum(c.idle) as idle, sum(c.absent) as absent,
            sum(c.working + c.idle + c.absent) as states,
            sum(c.units) filter (where c.counts) as units,
            count(*) filter (where c.counts) as hours
        from hourly c
        group by c.week_hour, c.model_key, c.camera_key
    ),
    joined as (
        select t.*, w.working as base_working, w.idle as base_idle, w.absent as base_absent,
            w.working + w.idle + w.absent as base_states, w.units as base_units
        from told t
        left join floor.model_weeks w
          on w.site_key = p_site_key and w.span = p_span and w.model_key = t.model_key
         and w.camera_key = t.camera_key and w.week_hour = t.week_hour
    ),
    series as materialized (
        select j.model_key, j.camera_key,
            sum(j.working) filter (where j.base_states > 0) as working,
            sum(j.idle) filter (where j.base_states > 0) as idle,
            sum(j.absent) filter (where j.base_states > 0) as absent,
            coalesce(sum(j.states) filter (where j.base_states > 0), 0)::bigint as states,
            coalesce(sum(j.base_states) filter (where j.states > 0), 0)::bigint as base_states,
            -- What these hours would hold if each had its own mix.
            sum(j.states::double precision * j.base_working / nullif(j.base_states, 0)) as like_working,
            sum(j.states::double precision * j.base_idle / nullif(j.base_states, 0)) as like_idle,
            sum(j.states::double precision * j.base_absent / nullif(j.base_states, 0)) as like_absent,
            coalesce(sum(j.hours) filter (where j.base_units is not null), 0)::bigint as hours,
            sum(j.units) filter (where j.base_units is not null)::double precision as units,
            sum(j.hours * j.base_units) as expected
        from joined j
        group by j.model_key, j.camera_key
    ),
    judged as (
        select q.*,
            coalesce(c.first_at <= wanted_to - interval '7 days', false) as is_old,
            case when least(q.states, q.base_states) >= 500 then floor.psi(
                array[q.working, q.idle, q.absent]::double precision[],
                array[q.like_working * f.scale, q.like_idle * f.scale, q.like_absent * f.scale])
            end as psi,
            greatest(
                s.rate_shift * greatest(
                    c.hour_deviation * sqrt(q.hours), c.day_deviation * sqrt(q.hours / c.day_hours),
                    sqrt(q.expected), 1),
                s.rate_share * q.expected) as allowed
        from series q
        cross join lateral (
            select q.base_states::double precision / nullif(q.states, 0) as scale
        ) f
        left join floor.model_scales c
          on c.site_key = p_site_key and c.span = p_span and c.model_key = q.model_key
         and c.camera_key = q.camera_key
    )
    select
        'state_mix', j.model_key, j.camera_key, p_span,
        case when not j.is_old or j.psi is null then 'not enough data'
             when j.psi > s.state_mix then 'drifting' else 'ok' end,
        j.psi, 0::double precision, s.state_mix, j.states, j.base_states
    from judged j
    union all
    select
        'rate_shift', j.model_key, j.camera_key, p_span,
        case when not j.is_old or j.hours < 24 then 'not enough data'
             when abs(j.units - j.expected) > j.allowed then 'drifting' else 'ok' end,
        j.units / nullif(j.hours, 0), j.expected / nullif(j.hours, 0),
        j.allowed / nullif(j.hours, 0), j.hours, 0::bigint
    from judged j;
end
$$;
