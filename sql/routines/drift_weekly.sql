-- The two signals that compare like with like: every hour with the same hours of the weeks
-- before it (local time), as ops.learn_weeks has learnt them.

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
    zone text := ops.zone_of(p_site_key, p_to);
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
    return query
    with cameras as materialized (
        select h.hour, l.week_hour, l.in_shift and h.hour < hour0 as counts, h.model_key,
            h.camera_key, h.working, h.idle, h.absent, h.units
        from ops.local_hours(p_site_key, from_time, p_now) l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_now
    ),
    -- A camera to which another version came: what the one before still counts is no pace.
    known as materialized (
        select k.* from ops.known_series(p_site_key, p_now) k where k.camera_key >= 0
    ),
    handed_over as materialized (
        select distinct before.model_key, before.camera_key
        from known before
        join known after
          on after.camera_key = before.camera_key and after.model_key <> before.model_key
         and after.first_at > before.first_at + interval '3 days'
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
            coalesce(k.is_old, false) as is_old,
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
        left join ops.known_series(p_site_key, wanted_to) k
          on k.model_key = q.model_key and k.camera_key = q.camera_key
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
        case when not j.is_old or j.hours < 24 or exists (
                 select from handed_over h
                 where h.model_key = j.model_key and j.camera_key in (-1, h.camera_key)
             ) then 'not enough data'
             when abs(j.units - j.expected) > j.allowed then 'drifting' else 'ok' end,
        j.units / nullif(j.hours, 0), j.expected / nullif(j.hours, 0),
        j.allowed / nullif(j.hours, 0), j.hours, 0::bigint
    from judged j;
end
$$;
