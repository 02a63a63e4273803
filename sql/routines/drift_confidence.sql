-- Confidence: drop, low, spread and shape of every model and camera (docs/drift.md), from sums
-- by hour and day. Like is compared with like: each camera with itself, in windows of an hour
-- or a day at the same hour of the local day.

-- Its columns have changed.
drop function if exists ops.known_series(integer, timestamptz);

create or replace function ops.known_series(p_site_key integer, p_to timestamptz)
returns table (
    model_key integer, camera_key integer, first_at timestamptz, events bigint, is_old boolean)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Who sent in the 30 UTC days before p_to: models (camera -1) and their cameras (0: none named).
-- is_old: enough of it, and for long enough, to be a baseline.
begin
    return query
    select d.model_key, case when grouping(d.camera_key) = 1 then -1 else d.camera_key end,
        min(d.first_at), sum(d.events)::bigint,
        sum(d.events) >= 500 and min(d.first_at) <= p_to - interval '7 days'
    from floor.model_daily d
    where d.site_key = p_site_key and d.day >= p_to - interval '30 days' and d.day < p_to
    group by grouping sets ((d.model_key, d.camera_key), (d.model_key));
end
$$;

create or replace function ops.confidence_sums(p_site_key integer, p_now timestamptz)
returns table (
    span text, model_key integer, camera_key integer, events bigint, total double precision,
    squares double precision, histogram double precision[], days integer, base_events bigint,
    base_total double precision, base_squares double precision,
    base_histogram double precision[])
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- What the windows hold, and what as many events of the baseline would, each from the same
-- camera (and hour of the day). What has no equal of as many events in the baseline is left
-- out: a few of the past weighed for many now would tell of chance.
declare
    hour0 timestamptz := floor.hour_of(p_now);
    today timestamptz := date_trunc('day', p_now);
begin
    return query
    with now_hours as materialized (
        select l.hour, l.week_hour % 24 as day_hour
        from ops.local_hours(p_site_key, hour0 - interval '24 hours', p_now) l
    ),
    parts as (
        select 'hour' as span, l.day_hour, h.*
        from now_hours l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= hour0 - interval '1 hour' and h.hour < p_now
        union all
        select 'day', l.day_hour, h.*
        from now_hours l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= hour0 - interval '24 hours' and h.hour < p_now
        union all
        select 'week', -1, d.*
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= today - interval '7 days' and d.day < today
        union all
        select 'week', -1, h.*
        from floor.model_hourly h
        where h.site_key = p_site_key and h.hour >= today and h.hour < p_now
    ),
    cells as materialized (
        select p.span, p.day_hour, p.model_key, p.camera_key, sum(p.events) as events,
            sum(p.confidence_sum) as total, sum(p.confidence_squares) as squares,
            count(distinct date_trunc('day', p.hour)) as days,
            sum(p.b00) as b00, sum(p.b01) as b01, sum(p.b02) as b02, sum(p.b03) as b03,
            sum(p.b04) as b04, sum(p.b05) as b05, sum(p.b06) as b06, sum(p.b07) as b07,
            sum(p.b08) as b08, sum(p.b09) as b09, sum(p.b10) as b10, sum(p.b11) as b11,
            sum(p.b12) as b12, sum(p.b13) as b13, sum(p.b14) as b14, sum(p.b15) as b15,
            sum(p.b16) as b16, sum(p.b17) as b17, sum(p.b18) as b18, sum(p.b19) as b19
        from parts p
        group by p.span, p.day_hour, p.model_key, p.camera_key
    ),
    bases as (
        select s.span, k.*
        from floor.model_likes k
        cross join (values ('hour'), ('day')) as s (span)
        where k.site_key = p_site_key
        union all
        select 'week', p_site_key, d.model_key, d.camera_key, -1, sum(d.events),
            sum(d.confidence_sum), sum(d.confidence_squares),
            sum(d.b00), sum(d.b01), sum(d.b02), sum(d.b03), sum(d.b04),
            sum(d.b05), sum(d.b06), sum(d.b07), sum(d.b08), sum(d.b09),
            sum(d.b10), sum(d.b11), sum(d.b12), sum(d.b13), sum(d.b14),
            sum(d.b15), sum(d.b16), sum(d.b17), sum(d.b18), sum(d.b19)
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= today - interval '37 days'
          and d.day < today - interval '7 days'
        group by d.model_key, d.camera_key
    ),
    matched as (
        select c.*, c.events::double precision / b.events as weight,
            b.events as base_events, b.confidence_sum as base_total,
            b.confidence_squares as base_squares,
            b.b00 as a00, b.b01 as a01, b.b02 as a02, b.b03 as a03, b.b04 as a04,
            b.b05 as a05, b.b06 as a06, b.b07 as a07, b.b08 as a08, b.b09 as a09,
            b.b10 as a10, b.b11 as a11, b.b12 as a12, b.b13 as a13, b.b14 as a14,
            b.b15 as a15, b.b16 as a16, b.b17 as a17, b.b18 as a18, b.b19 as a19
        from cells c
        join bases b using (span, day_hour, model_key, camera_key)
        where b.events >= c.events
    )
    select
        m.span, m.model_key,
        case when grouping(m.camera_key) = 1 then -1 else m.camera_key end,
        sum(m.events)::bigint, sum(m.total), sum(m.squares),
        array[
            sum(m.b00), sum(m.b01), sum(m.b02), sum(m.b03), sum(m.b04),
            sum(m.b05), sum(m.b06), sum(m.b07), sum(m.b08), sum(m.b09),
            sum(m.b10), sum(m.b11), sum(m.b12), sum(m.b13), sum(m.b14),
            sum(m.b15), sum(m.b16), sum(m.b17), sum(m.b18), sum(m.b19)]::double precision[],
        max(m.days)::integer, sum(m.base_events)::bigint,
        sum(m.weight * m.base_total), sum(m.weight * m.base_squares),
        array[
            sum(m.weight * m.a00), sum(m.weight * m.a01), sum(m.weight * m.a02),
            sum(m.weight * m.a03), sum(m.weight * m.a04), sum(m.weight * m.a05),
            sum(m.weight * m.a06), sum(m.weight * m.a07), sum(m.weight * m.a08),
            sum(m.weight * m.a09), sum(m.weight * m.a10), sum(m.weight * m.a11),
            sum(m.weight * m.a12), sum(m.weight * m.a13), sum(m.weight * m.a14),
            sum(m.weight * m.a15), sum(m.weight * m.a16), sum(m.weight * m.a17),
            sum(m.weight * m.a18), sum(m.weight * m.a19)]
    from matched m
    group by grouping sets (
        (m.span, m.model_key, m.camera_key), (m.span, m.model_key))
    having grouping(m.camera_key) = 1 or m.camera_key > 0;
end
$$;

create or replace function ops.confidence_findings(p_site_key integer, p_now timestamptz)
returns table (
    signal text, model_key integer, camera_key integer, span text, verdict text,
    current double precision, baseline double precision, threshold double precision,
    events bigint, baseline_events bigint)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- The verdicts on them. A week needs events of three days: one night after a holiday is no
-- week. What is always low at these hours is news in the window of a week only. Confidence is
-- compared as it is stored, as real: a mean of 0.7 is not below 0.7.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
begin
    return query
    with known as materialized (
        select x.span, k.*
        from (values
            ('hour', date_trunc('day', floor.hour_of(p_now) - interval '24 hours')),
            ('day', date_trunc('day', floor.hour_of(p_now) - interval '24 hours')),
            ('week', date_trunc('day', p_now) - interval '7 days')) as x (span, base_to)
        cross join lateral ops.known_series(p_site_key, x.base_to) k
    ),
    subjects as (
        select x.span, k.model_key, k.camera_key
        from (values ('hour'), ('day'), ('week')) as x (span)
        cross join lateral ops.known_series(p_site_key, p_now) k
        where k.camera_key <> 0
    ),
    judged as (
        select
            q.span, q.model_key, q.camera_key, coalesce(c.events, 0)::bigint as events,
            coalesce(c.base_events, 0)::bigint as base_events, c.total / c.events as mean,
            floor.sample_deviation(c.events, c.total, c.squares) as deviation,
            c.base_total / c.events as base_mean,
            floor.sample_deviation(c.events, c.base_total, c.base_squares) as base_deviation,
            coalesce(k.is_old and c.base_events >= 500 and (q.span <> 'week' or c.days >= 3), false)
                as has_base,
            case when c.events >= 500 and q.span <> 'hour' then floor.psi(c.histogram, array(
                select u.n * c.base_events / c.events
                from unnest(c.base_histogram) with ordinality as u (n, place)
                order by u.place)) end as psi
        from subjects q
        left join known k using (span, model_key, camera_key)
        left join ops.confidence_sums(p_site_key, p_now) c using (span, model_key, camera_key)
    )
    select
        v.signal, j.model_key, j.camera_key, j.span,
        case when not j.has_base or j.events < v.needed then 'not enough data'
             when v.fires then 'drifting' else 'ok' end,
        v.current, v.baseline, v.threshold, j.events, j.base_events
    from judged j
    cross join lateral (values
        ('confidence_drop', 100, j.mean::real < (j.base_mean * (1 - s.confidence_drop))::real,
         j.mean, j.base_mean, j.base_mean * (1 - s.confidence_drop)),
        ('confidence_low', 100,
         j.mean::real < s.confidence_low::real
         and (j.span = 'week' or j.base_mean::real >= s.confidence_low::real),
         j.mean, j.base_mean, s.confidence_low),
        ('confidence_spread', 100, j.deviation::real > s.confidence_spread::real,
         j.deviation, j.base_deviation, s.confidence_spread),
        ('confidence_shape', 500, j.psi > s.confidence_shape, j.psi, 0, s.confidence_shape)
    ) as v (signal, needed, fires, current, baseline, threshold)
    where j.span <> 'hour' or v.signal in ('confidence_drop', 'confidence_low');
end
$$;
