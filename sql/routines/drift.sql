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

-- Replaced by ops.rolling_means.
drop function if exists ops.rolling_findings(integer, timestamptz);

create or replace function ops.rolling_means(p_site_key integer, p_now timestamptz)
returns table (
    model_key integer, camera_key integer, mean double precision, events bigint, told boolean,
    sends boolean)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- The mean of the last 100 events, of those of the last 24 hours; whether it `sends`: has an
-- event in the open hour or the one before; whether a verdict can be `told`: it also needs the
-- baseline that every signal needs.
declare
    hour0 timestamptz := floor.hour_of(p_now);
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
        select t.model_key, t.camera_key, sum(q.events)::bigint as events,
            sum(q.total) / sum(q.events) as mean,
            max(t.hour) >= hour0 - interval '1 hour' as sends
        from tails t
        cross join lateral (
            select count(*) as events, sum(u.confidence::double precision) as total
            from unnest(t.confidences) with ordinality as u (confidence, place)
            where u.place > cardinality(t.confidences) - (100 - t.newer)
        ) q
        where t.newer < 100
        group by t.model_key, t.camera_key
    )
    select l.model_key, l.camera_key, l.mean, l.events,
        coalesce(k.is_old, false) and l.events = 100 and l.sends, l.sends
    from last_ones l
    left join ops.known_series(p_site_key, date_trunc('day', hour0 - interval '24 hours')) k
      on k.model_key = l.model_key and k.camera_key = l.camera_key;
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
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
begin
    perform ops.learn_due(p_site_key, p_now);
    with confidences as materialized (
        select c.* from ops.confidence_findings(p_site_key, p_now) c
    ),
    -- The last 100 events: low for as long as check after check has found them so. Hours that
    -- are always low are no news: not here, either.
    rolling as materialized (
        select v.signal, r.model_key, r.camera_key, v.told, r.mean, f.baseline, v.threshold,
            r.events, coalesce(f.baseline_events, 0) as baseline_events,
            case when r.mean::real < v.threshold::real then
                coalesce(c.low_since, case when r.sends then p_now end) end as low_since
        from ops.rolling_means(p_site_key, p_now) r
        left join confidences f
          on f.signal = 'confidence_low' and f.span = 'hour' and f.model_key = r.model_key
         and f.camera_key = r.camera_key
        cross join lateral (values
            ('rolling_low', r.told, s.rolling_low),
            ('confidence_low', r.told and f.verdict <> 'not enough data', s.confidence_low),
            ('confidence_drop', r.told and f.verdict <> 'not enough data',
             f.baseline * (1 - s.confidence_drop))
        ) as v (signal, told, threshold)
        left join ops.drift_checks c
          on (c.site_key, c.signal, c.model_key, c.camera_key, c.span)
           = (p_site_key, v.signal, r.model_key, r.camera_key, 'last_100')
    ),
    found as materialized (
        select c.*, null::timestamptz as low_since from confidences c
        union all
        select w.*, null
        from ops.weekly_findings(p_site_key, p_now, 'day') w
        union all
        select w.*, null
        from ops.weekly_findings(p_site_key, p_now, 'week') w
        union all
        select r.signal, r.model_key, r.camera_key, 'last_100',
            case when r.told is not true then 'not enough data'
                 when r.low_since <= p_now - s.rolling_hold_s * interval '1 second'
                  and coalesce(r.baseline::real >= r.threshold::real, true) then 'drifting'
                 else 'ok' end,
            r.mean, r.baseline, r.threshold, r.events, r.baseline_events, r.low_since
        from rolling r
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
        perform ops.learn_silences(site, p_now);
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
