-- The two signals that compare like with like: every hour with the same hours of the weeks
-- before it (local time).

create or replace function ops.weekly_hours(
    p_site_key integer, p_now timestamptz, p_span text)
returns table (hour timestamptz, is_base boolean, week_hour integer, counts boolean)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- The hours of a window and of the 30 days before it. counts: closed, and of a shift (or of
-- a time without shifts). Where the window holds fewer than 24 such hours no rate is judged,
-- and only the hours of the week that it holds are asked for.
declare
    hour0 timestamptz := floor.hour_of(p_now);
    from_time timestamptz := case p_span
        when 'day' then floor.hour_of(p_now) - interval '24 hours'
        else date_trunc('day', p_now) - interval '7 days' end;
    zone text := (select v.timezone from floor.settings_spans v
                  where v.site_key = p_site_key and p_now >= v.valid_from and p_now < v.valid_to);
begin
    return query
    with local_hours as materialized (
        select g.hour, g.hour < from_time as is_base,
            (extract(isodow from g.hour at time zone zone) * 24
             + extract(hour from g.hour at time zone zone))::integer as week_hour,
            g.hour < hour0 and exists (
                select from floor.calendar_slices c
                where c.site_key = p_site_key and c.hour = g.hour and c.shift_key <> 0) as counts
        from generate_series(
            from_time - interval '30 days', p_now - interval '1 microsecond',
            interval '1 hour') as g (hour)
    ),
    told as (
        select count(*) filter (where not l.is_base and l.counts) >= 24 as rates,
            array_agg(distinct l.week_hour) filter (where not l.is_base) as week_hours
        from local_hours l
    )
    select l.hour, l.is_base, l.week_hour, l.counts and t.rates
    from local_hours l
    cross join told t
    where not l.is_base or t.rates or l.week_hour = any (t.week_hours);
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
-- state_mix and rate_shift of one window, every model and camera.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    week_hours integer[];
    hours timestamptz[];
    bases boolean[];
    counting boolean[];
    base_from timestamptz;
    base_to timestamptz;
begin
    select array_agg(h.hour), array_agg(h.is_base), array_agg(h.week_hour), array_agg(h.counts),
        min(h.hour), min(h.hour) filter (where not h.is_base)
    into hours, bases, week_hours, counting, base_from, base_to
    from ops.weekly_hours(p_site_key, p_now, p_span) h;
    return query
    with wanted as materialized (
        select u.hour, u.is_base, u.week_hour, u.counts
        from unnest(hours, bases, week_hours, counting) as u (hour, is_base, week_hour, counts)
    ),
    cameras as materialized (
        select w.hour, w.is_base, w.week_hour, w.counts, h.model_key, h.camera_key,
            h.working, h.idle, h.absent, h.units
        from wanted w
        join floor.model_hourly h on h.hour = w.hour
        where h.site_key = p_site_key and h.hour >= base_from and h.hour < p_now
    ),
    told as materialized (
        select c.* from cameras c where c.camera_key > 0
        union all
        select c.hour, c.is_base, c.week_hour, c.counts, c.model_key, -1,
            sum(c.working)::integer, sum(c.idle)::integer, sum(c.absent)::integer,
            sum(c.units)::bigint
        from cameras c
        group by c.hour, c.is_base, c.week_hour, c.counts, c.model_key
    ),
    series as (
        select t.model_key, t.camera_key,
            min(t.hour) filter (where t.is_base) <= base_to - interval '7 days' as is_old
        from told t
        group by t.model_key, t.camera_key
        having bool_or(not t.is_base)
    ),
    -- A week of the baseline: what each hour of it is like.
    profile as materialized (
        select t.model_key, t.camera_key, t.week_hour,
            sum(t.working) as working, sum(t.idle) as idle, sum(t.absent) as absent,
            sum(t.working + t.idle + t.absent) as states,
            array_agg(t.units order by t.units, t.hour) filter (where t.counts) as units,
            array_agg(t.hour order by t.units, t.hour) filter (where t.counts) as hours
        from told t
        where t.is_base
        group by t.model_key, t.camera_key, t.week_hour
    ),
    lately as (
        select t.model_key, t.camera_key, t.week_hour,
            sum(t.working) as working, sum(t.idle) as idle, sum(t.absent) as absent,
            sum(t.working + t.idle + t.absent) as states
        from told t
        where not t.is_base
        group by t.model_key, t.camera_key, t.week_hour
    ),
    mixes as (
        select l.model_key, l.camera_key,
            sum(l.working) as working, sum(l.idle) as idle, sum(l.absent) as absent,
            sum(l.states)::bigint as states,
            sum(p.states)::bigint as base_states,
            -- What those hours would hold if each had its own mix, on the scale of the baseline.
            sum(l.states::double precision * p.working / p.states)
                * sum(p.states) / sum(l.states) as base_working,
            sum(l.states::double precision * p.idle / p.states)
                * sum(p.states) / sum(l.states) as base_idle,
            sum(l.states::double precision * p.absent / p.states)
                * sum(p.states) / sum(l.states) as base_absent
        from lately l
        join profile p using (model_key, camera_key, week_hour)
        where p.states > 0 and l.states > 0
        group by l.model_key, l.camera_key
    ),
    -- Each hour of the baseline against the median of its sisters without itself: the same
    -- distance that an hour of the window has by chance. Two sisters at least.
    residuals as (
        select p.model_key, p.camera_key, u.hour,
            u.units - (p.units[u.place_low] + p.units[u.place_high]) / 2.0::double precision as residual
        from profile p
        cross join lateral (
            select v.units, v.hour,
                m.size / 2 + (m.size / 2 >= v.place)::integer as place_low,
                (m.size + 1) / 2 + ((m.size + 1) / 2 >= v.place)::integer as place_high
            from (select cardinality(p.units) as size) m
            cross join unnest(p.units, p.hours) with ordinality as v (units, hour, place)
        ) u
        where cardinality(p.units) >= 3
    ),
    hour_scale as (
        select r.model_key, r.camera_key,
            1.4826 * percentile_cont(0.5) within group (order by abs(r.residual)) as deviation
        from residuals r
        group by r.model_key, r.camera_key
    ),
    -- Hours of one day err together: whole days have a deviation of their own.
    day_scale as (
        select d.model_key, d.camera_key, avg(d.hours) as hours,
            1.4826 * percentile_cont(0.5) within group (order by abs(d.residual)) as deviation
        from (
            select r.model_key, r.camera_key, count(*) as hours, sum(r.residual) as residual
            from residuals r
            group by r.model_key, r.camera_key, date_trunc('day', r.hour)
        ) d
        group by d.model_key, d.camera_key
    ),
    medians as (
        select p.model_key, p.camera_key, p.week_hour,
            (p.units[(cardinality(p.units) + 1) / 2] + p.units[(cardinality(p.units) + 2) / 2])
                / 2.0::double precision as units
        from profile p
        where cardinality(p.units) >= 3
    ),
    shifts as (
        select t.model_key, t.camera_key, count(*) as hours,
            sum(t.units)::double precision as units, sum(m.units) as expected
        from told t
        join medians m using (model_key, camera_key, week_hour)
        where not t.is_base and t.counts
        group by t.model_key, t.camera_key
    ),
    rates as (
        select h.*,
            greatest(s.rate_shift * greatest(
                    a.deviation * sqrt(h.hours), b.deviation * sqrt(h.hours / b.hours),
                    sqrt(h.expected), 1),
                s.rate_share * h.expected) as allowed
        from shifts h
        join hour_scale a using (model_key, camera_key)
        join day_scale b using (model_key, camera_key)
    )
    select
        'state_mix', q.model_key, q.camera_key, p_span,
        case when q.is_old is not true or coalesce(least(m.states, m.base_states), 0) < 500
                 then 'not enough data'
             when i.psi > s.state_mix then 'drifting' else 'ok' end,
        i.psi, 0::double precision, s.state_mix, coalesce(m.states, 0), coalesce(m.base_states, 0)
    from series q
    left join mixes m using (model_key, camera_key)
    cross join lateral (
        select case when least(m.states, m.base_states) >= 500 then floor.psi(
            array[m.working, m.idle, m.absent]::double precision[],
            array[m.base_working, m.base_idle, m.base_absent]) end as psi
    ) i
    union all
    select
        'rate_shift', q.model_key, q.camera_key, p_span,
        case when q.is_old is not true or coalesce(r.hours, 0) < 24 then 'not enough data'
             when abs(r.units - r.expected) > r.allowed then 'drifting' else 'ok' end,
        r.units / r.hours, r.expected / r.hours, r.allowed / r.hours, coalesce(r.hours, 0), 0
    from series q
    left join rates r using (model_key, camera_key);
end
$$;
