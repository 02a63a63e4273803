-- The seven signals of model health (docs/drift.md), from sums by hour and day alone. A check
-- of a site judges every model and camera (-1: all cameras of the model) and keeps the verdicts.

create or replace function floor.psi(p_current double precision[], p_baseline double precision[])
returns double precision
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Population stability index of two histograms of the same bins, shares smoothed as
-- (n + 0.5) / (N + 0.5 * bins).
    select sum((s.p - s.q) * ln(s.p / s.q))
    from (
        select
            (u.c + 0.5) / (sum(u.c) over () + 0.5 * count(*) over ()) as p,
            (u.b + 0.5) / (sum(u.b) over () + 0.5 * count(*) over ()) as q
        from unnest(p_current, p_baseline) as u (c, b)
    ) s
$$;

create or replace function floor.sample_deviation(
    p_events bigint, p_sum double precision, p_squares double precision)
returns double precision
language sql immutable strict parallel safe
as $$
-- Standard deviation from sums; null for a single value. (No SET: it must stay inlinable.)
    select case when p_events > 1 then
        sqrt(greatest(0, p_squares - p_sum * p_sum / p_events) / (p_events - 1)) end
$$;

create or replace function ops.drift_settings_of(p_site_key integer)
returns ops.drift_settings
language plpgsql
set search_path = ops, pg_temp
as $$
-- The thresholds of a site; the first to ask makes the row with its defaults.
declare
    found_row ops.drift_settings;
begin
    insert into ops.drift_settings (site_key) values (p_site_key) on conflict do nothing;
    select * into found_row from ops.drift_settings s where s.site_key = p_site_key;
    return found_row;
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
-- Drop, low, spread and shape of 24 hours (and the open one) and of 7 UTC days (and today),
-- each against the 30 UTC days before it.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    hour0 timestamptz := floor.hour_of(p_now);
    today timestamptz := date_trunc('day', p_now);
    day_base timestamptz := date_trunc('day', floor.hour_of(p_now) - interval '24 hours');
begin
    return query
    with parts as (
        select 'day' as part, false as is_base, h.*
        from floor.model_hourly h
        where h.site_key = p_site_key and h.hour >= hour0 - interval '24 hours' and h.hour < p_now
        union all
        select 'day', true, d.*
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= day_base - interval '30 days' and d.day < day_base
        union all
        select 'week', false, d.*
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= today - interval '7 days' and d.day < today
        union all
        select 'week', false, h.*
        from floor.model_hourly h
        where h.site_key = p_site_key and h.hour >= today and h.hour < p_now
        union all
        select 'week', true, d.*
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= today - interval '37 days'
          and d.day < today - interval '7 days'
    ),
    sums as materialized (
        select
            h.part, h.is_base, h.model_key,
            case when grouping(h.camera_key) = 1 then -1 else h.camera_key end as camera_key,
            min(h.hour) as first_at, sum(h.events) as events, sum(h.confidence_sum) as total,
            sum(h.confidence_squares) as squares,
            array[
                sum(h.b00), sum(h.b01), sum(h.b02), sum(h.b03), sum(h.b04), sum(h.b05),
                sum(h.b06), sum(h.b07), sum(h.b08), sum(h.b09), sum(h.b10), sum(h.b11),
                sum(h.b12), sum(h.b13), sum(h.b14), sum(h.b15), sum(h.b16), sum(h.b17),
                sum(h.b18), sum(h.b19)]::double precision[] as histogram
        from parts h
        group by grouping sets (
            (h.part, h.is_base, h.model_key, h.camera_key), (h.part, h.is_base, h.model_key))
        having grouping(h.camera_key) = 1 or h.camera_key > 0
    ),
    pairs as (
        select
            c.part, c.model_key, c.camera_key, c.events, c.histogram,
            c.total / c.events as mean,
            floor.sample_deviation(c.events, c.total, c.squares) as deviation,
            b.total / b.events as base_mean,
            floor.sample_deviation(b.events, b.total, b.squares) as base_deviation,
            b.histogram as base_histogram,
            coalesce(b.events, 0)::bigint as base_events,
            coalesce(b.events >= 500 and b.first_at <= case c.part
                when 'day' then day_base - interval '7 days'
                else today - interval '14 days' end, false) as has_base
        from sums c
        left join sums b
          on b.part = c.part and b.is_base and b.model_key = c.model_key
         and b.camera_key = c.camera_key
        where not c.is_base
    )
    select
        v.signal, p.model_key, p.camera_key, p.part,
        case when not p.has_base or p.events < v.needed then 'not enough data'
             when v.fires then 'drifting' else 'ok' end,
        v.current, v.baseline, v.threshold, p.events, p.base_events
    from pairs p
    cross join lateral (values
        ('confidence_drop', 100, p.mean < p.base_mean * (1 - s.confidence_drop),
         p.mean, p.base_mean, p.base_mean * (1 - s.confidence_drop)),
        ('confidence_low', 100, p.mean < s.confidence_low,
         p.mean, p.base_mean, s.confidence_low),
        ('confidence_spread', 100, p.deviation > s.confidence_spread,
         p.deviation, p.base_deviation, s.confidence_spread)
    ) as v (signal, needed, fires, current, baseline, threshold)
    union all
    select
        'confidence_shape', p.model_key, p.camera_key, p.part,
        case when not p.has_base or p.events < 500 then 'not enough data'
             when i.psi > s.confidence_shape then 'drifting' else 'ok' end,
        i.psi, 0, s.confidence_shape, p.events, p.base_events
    from pairs p
    cross join lateral (
        select case when p.has_base and p.events >= 500
                    then floor.psi(p.histogram, p.base_histogram) end as psi
    ) i;
end
$$;

create or replace function ops.hour_findings(p_site_key integer, p_now timestamptz)
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
-- Drop and low of the open hour and the one before, each event against the mean of its hour
-- of the day in the 30 days before. An hour that is always low is no news.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    hour0 timestamptz := floor.hour_of(p_now);
    first_hour timestamptz := floor.hour_of(p_now) - interval '1 hour';
    hours timestamptz[] := array(
        select h.hour - k.days * interval '24 hours'
        from unnest(array[first_hour, hour0]) as h (hour)
        cross join generate_series(0, 30) as k (days));
begin
    return query
    with by_hour as (
        select
            h.model_key,
            case when grouping(h.camera_key) = 1 then -1 else h.camera_key end as camera_key,
            sum(h.events) filter (where h.hour >= first_hour) as events,
            sum(h.confidence_sum) filter (where h.hour >= first_hour) as total,
            sum(h.events) filter (where h.hour < first_hour) as base_events,
            sum(h.confidence_sum) filter (where h.hour < first_hour) as base_total,
            min(h.hour) as first_at
        from floor.model_hourly h
        where h.site_key = p_site_key and h.hour = any (hours) and h.hour < p_now
        group by grouping sets (
            (h.model_key, extract(hour from h.hour), h.camera_key),
            (h.model_key, extract(hour from h.hour)))
        having grouping(h.camera_key) = 1 or h.camera_key > 0
    ),
    sums as (
        select b.model_key, b.camera_key,
            coalesce(sum(b.events) filter (where b.base_events > 0), 0)::bigint as events,
            coalesce(sum(b.base_events), 0)::bigint as base_events,
            sum(b.total) filter (where b.base_events > 0)
                / sum(b.events) filter (where b.base_events > 0) as mean,
            sum(b.events * b.base_total / b.base_events) filter (where b.base_events > 0)
                / sum(b.events) filter (where b.base_events > 0) as base_mean,
            min(b.first_at) <= first_hour - interval '7 days' as is_old
        from by_hour b
        where b.events > 0
        group by b.model_key, b.camera_key
    )
    select
        v.signal, q.model_key, q.camera_key, 'hour',
        case when not q.is_old or q.base_events < 500 or q.events < 100 then 'not enough data'
             when v.fires then 'drifting' else 'ok' end,
        q.mean, q.base_mean, v.threshold, q.events, q.base_events
    from sums q
    cross join lateral (values
        ('confidence_drop', q.mean < q.base_mean * (1 - s.confidence_drop),
         q.base_mean * (1 - s.confidence_drop)),
        ('confidence_low', q.mean < s.confidence_low and q.base_mean >= s.confidence_low,
         s.confidence_low)
    ) as v (signal, fires, threshold);
end
$$;

create or replace function ops.rolling_findings(p_site_key integer, p_now timestamptz)
returns table (
    model_key integer, camera_key integer, verdict text, current double precision,
    threshold double precision, events bigint, low_since timestamptz)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- The mean of the last 100 events, of those of the last 24 hours, and since when check after
-- check found it low. Without an event in the open hour or the one before: no verdict.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    hour0 timestamptz := floor.hour_of(p_now);
    old_day timestamptz := date_trunc('day', p_now) - interval '7 days';
begin
    return query
    with tails as (
        select t.hour, t.model_key, t.camera_key, t.confidences,
            coalesce(sum(cardinality(t.confidences)) over (
                partition by t.model_key, t.camera_key order by t.hour desc
                rows between unbounded preceding and 1 preceding), 0) as newer
        from floor.model_tails t
        where t.site_key = p_site_key and t.hour >= hour0 - interval '24 hours' and t.hour < p_now
    ),
    last_ones as (
        select t.model_key, t.camera_key, max(t.hour) as hour, sum(q.events)::bigint as events,
            sum(q.total) / sum(q.events) as mean
        from tails t
        cross join lateral (
            select count(*) as events, sum(u.confidence::double precision) as total
            from unnest(t.confidences) with ordinality as u (confidence, place)
            where u.place > cardinality(t.confidences) - (100 - t.newer)
        ) q
        where t.newer < 100
        group by t.model_key, t.camera_key
    ),
    known as (
        select d.model_key,
            case when grouping(d.camera_key) = 1 then -1 else d.camera_key end as camera_key
        from floor.model_daily d
        where d.site_key = p_site_key and d.day >= old_day - interval '30 days' and d.day <= old_day
        group by grouping sets ((d.model_key, d.camera_key), (d.model_key))
        having sum(d.events) > 0
    ),
    judged as (
        select l.*,
            k.model_key is not null and l.events = 100 and l.hour >= hour0 - interval '1 hour' as told,
            case when l.mean < s.rolling_low then coalesce(
                c.low_since,
                case when l.hour >= hour0 - interval '1 hour' then p_now end) end as since
        from last_ones l
        left join known k on k.model_key = l.model_key and k.camera_key = l.camera_key
        left join ops.drift_checks c
          on c.site_key = p_site_key and c.signal = 'rolling_low' and c.span = 'last_100'
         and c.model_key = l.model_key and c.camera_key = l.camera_key
    )
    select
        j.model_key, j.camera_key,
        case when not j.told then 'not enough data'
             when j.since <= p_now - interval '1 hour' then 'drifting' else 'ok' end,
        j.mean, s.rolling_low, j.events, j.since
    from judged j;
end
$$;

create or replace function ops.keep_findings(p_site_key integer, p_now timestamptz)
returns void
language plpgsql
set search_path = ops, pg_temp
set jit = off
as $$
-- Judges everything, notes what became another verdict, and keeps the last ones. What has no
-- events any more has no verdict any more.
begin
    with hours as materialized (
        select h.* from ops.hour_findings(p_site_key, p_now) h
    ),
    found as materialized (
        select f.*, null::timestamptz as low_since
        from ops.confidence_findings(p_site_key, p_now) f
        union all
        select h.*, null from hours h
        union all
        select w.*, null
        from ops.weekly_findings(p_site_key, p_now, 'day') w
        union all
        select w.*, null
        from ops.weekly_findings(p_site_key, p_now, 'week') w
        union all
        -- Hours that are always low are no news: not here, either.
        select 'rolling_low', r.model_key, r.camera_key, 'last_100',
            case when r.verdict = 'drifting' and f.baseline < r.threshold then 'ok'
                 else r.verdict end,
            r.current, f.baseline, r.threshold, r.events, coalesce(f.baseline_events, 0), r.low_since
        from ops.rolling_findings(p_site_key, p_now) r
        left join hours f
          on f.signal = 'confidence_low' and f.model_key = r.model_key
         and f.camera_key = r.camera_key
    ),
    changed as (
        insert into ops.drift_changes
            (site_key, signal, model_key, camera_key, span, was, verdict, current, baseline,
             threshold, at)
        select p_site_key, f.signal, f.model_key, f.camera_key, f.span,
            coalesce(c.verdict, 'not enough data'), f.verdict, f.current, f.baseline,
            f.threshold, p_now
        from found f
        left join ops.drift_checks c
          on (c.site_key, c.signal, c.model_key, c.camera_key, c.span)
           = (p_site_key, f.signal, f.model_key, f.camera_key, f.span)
        where f.verdict <> coalesce(c.verdict, 'not enough data')
    )
    insert into ops.drift_checks as c
        (site_key, signal, model_key, camera_key, span, verdict, current, baseline, threshold,
         events, baseline_events, since, low_since, checked_now)
    select p_site_key, f.signal, f.model_key, f.camera_key, f.span, f.verdict, f.current,
        f.baseline, f.threshold, f.events, f.baseline_events, p_now, f.low_since, p_now
    from found f
    on conflict (site_key, signal, model_key, camera_key, span) do update set
        verdict = excluded.verdict, current = excluded.current, baseline = excluded.baseline,
        threshold = excluded.threshold, events = excluded.events,
        baseline_events = excluded.baseline_events, low_since = excluded.low_since,
        checked_now = excluded.checked_now,
        since = case when c.verdict = excluded.verdict then c.since else excluded.since end;

    with gone as (
        update ops.drift_checks c
        set verdict = 'not enough data', current = null, events = 0, since = p_now,
            low_since = null
        from ops.drift_checks was
        where c.site_key = p_site_key and c.checked_now < p_now and c.verdict <> 'not enough data'
          and (was.site_key, was.signal, was.model_key, was.camera_key, was.span)
            = (c.site_key, c.signal, c.model_key, c.camera_key, c.span)
        returning c.signal, c.model_key, c.camera_key, c.span, was.verdict as was
    )
    insert into ops.drift_changes
        (site_key, signal, model_key, camera_key, span, was, verdict, at)
    select p_site_key, g.signal, g.model_key, g.camera_key, g.span, g.was, 'not enough data', p_now
    from gone g;
end
$$;

create or replace function ops.check_drift(p_now timestamptz, p_site_key integer default null)
returns integer
language plpgsql
set search_path = ops, pg_temp
as $$
-- Judges one site, or every one, and brings its alerts up to date; returns how many sites.
-- A site that was checked at this instant or later already is left as it is.
declare
    site integer;
    checked integer := 0;
begin
    for site in
        select s.site_key from floor.sites s
        where p_site_key is null or s.site_key = p_site_key
        order by s.site_key
    loop
        perform pg_advisory_xact_lock(hashtext('floorpulse.drift'), site);
        continue when exists (
            select from ops.drift_state d where d.site_key = site and d.checked_now >= p_now);
        perform ops.keep_findings(site, p_now);
        perform ops.settle_alerts(site, p_now);
        insert into ops.drift_state (site_key, checked_now, checked_at)
        values (site, p_now, clock_timestamp())
        on conflict (site_key) do update
            set checked_now = excluded.checked_now, checked_at = excluded.checked_at;
        checked := checked + 1;
    end loop;
    return checked;
end
$$;
