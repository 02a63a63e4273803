-- The dashboard's page of model health. Verdicts, alerts, requests and versions are their own
-- views; what they lack for a screen stands here.

create or replace view analytics.dashboard_signals as
select distinct on (d.site_id, d.model_version, d.camera_id, d.signal)
    d.site_id, d.model_version, d.camera_id, d.signal, d.span, d.verdict, d.current, d.baseline,
    d.threshold, d.sample, d.verdict_since, d.checked_at
from analytics.drift d
order by d.site_id, d.model_version, d.camera_id, d.signal,
    array_position(array['drifting', 'ok', 'not enough data'], d.verdict),
    array_position(array['day', 'week', 'last_100', 'hour'], d.span);

comment on view analytics.dashboard_signals is 'Site x model version x camera x signal: the weightiest verdict of its windows';

-- Its columns mean what they mean in the view they come from.
do $$
declare
    of_drift record;
begin
    for of_drift in
        select a.attname as name, col_description(a.attrelid, a.attnum) as said
        from pg_attribute a
        join pg_attribute q on q.attname = a.attname and q.attnum > 0
        where a.attrelid = 'analytics.drift'::regclass and a.attnum > 0
          and q.attrelid = 'analytics.dashboard_signals'::regclass
    loop
        execute format(
            'comment on column analytics.dashboard_signals.%I is %L', of_drift.name, of_drift.said);
    end loop;
end
$$;

create or replace function analytics.dashboard_confidence_days(
    site text, by_camera boolean default false)
returns table (
    site_id text, model_version text, camera_id text, days date[], means double precision[],
    day_events bigint[], all_events bigint)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    asked integer[] := floor.sites_asked(site);
begin
    return query
    with last_days as (
        select k.site_key,
            (select max(d.day) from floor.model_daily d where d.site_key = k.site_key) as day
        from unnest(asked) as k (site_key)
    ),
    by_day as (
        select d.site_key, d.model_key, case when by_camera then d.camera_key else -1 end as camera_key,
            d.day, sum(d.confidence_sum) as total, sum(d.events)::bigint as events
        from last_days l
        join floor.model_daily d
          on d.site_key = l.site_key and d.day > l.day - interval '31 days'
        group by 1, 2, 3, 4
    )
    select s.site_id, m.model_version, c.camera_id,
        array_agg(b.day::date order by b.day),
        array_agg(floor.ratio(b.total, b.events) order by b.day),
        array_agg(b.events order by b.day), sum(b.events)::bigint
    from by_day b
    join floor.sites s on s.site_key = b.site_key
    left join floor.models m on m.model_key = b.model_key
    left join floor.cameras c on c.camera_key = b.camera_key
    group by s.site_id, m.model_version, c.camera_id
    order by 7 desc, 1, 2, 3;
end
$$;
comment on function analytics.dashboard_confidence_days is 'Mean confidence by UTC day, the last 31 days of a site (null: of every one), of each model version or of each of its cameras';

create or replace function analytics.dashboard_model_kpis(site text)
returns table (
    alerts bigint, critical_alerts bigint, drifting bigint, judged bigint,
    model_version text, confidence double precision, confidence_baseline double precision,
    versions bigint, validated bigint, accuracy double precision,
    accuracy_low double precision, accuracy_high double precision, requests bigint,
    calls_given_up bigint, checked_at timestamptz)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    asked integer[] := floor.sites_asked(site);
    names text[] := array(select s.site_id from floor.sites s where s.site_key = any (asked));
begin
    return query
    with main as (
        select d.model_version, d.current, d.baseline
        from analytics.drift d
        where d.site_id = any (names) and d.camera_id is null and d.signal = 'confidence_drop'
          and d.span = 'day' and d.verdict <> 'not enough data'
        order by d.sample desc
        limit 1
    ),
    looked_at as (
        select count(*) as n, count(*) filter (where v.verdict = 'right') as hits
        from ops.validations v
        where v.site_key = any (asked) and v.stands
          and v.validated_at > now() - interval '14 days'
    )
    select
        (select count(*) from analytics.alerts a
         where a.site_id = any (names) and a.alert_state <> 'resolved'),
        (select count(*) from analytics.alerts a
         where a.site_id = any (names) and a.alert_state <> 'resolved'
           and a.severity = 'critical'),
        (select count(*) from analytics.dashboard_signals d
         where d.site_id = any (names) and d.verdict = 'drifting'),
        (select count(*) from analytics.dashboard_signals d
         where d.site_id = any (names) and d.verdict <> 'not enough data'),
        m.model_version, m.current, m.baseline,
        (select count(*) from analytics.model_versions v
         where v.site_id = any (names) and v.recent_share > 0),
        l.n, floor.ratio(l.hits, l.n), i.low, i.high,
        (select count(*) from analytics.retraining_requests r
         where r.site_id = any (names) and r.request_state not in ('deployed', 'rejected')),
        (select count(*) from analytics.retraining_calls c
         where c.site_id = any (names) and c.call_state = 'given up'),
        (select min(d.checked_now) from ops.drift_state d where d.site_key = any (asked))
    from looked_at l
    cross join lateral floor.wilson(l.hits, l.n) i
    left join main m on true;
end
$$;
comment on function analytics.dashboard_model_kpis is 'The figures on top of the page of model health: of a site, or of all (null); accuracy of the verdicts of the last 14 days';

create or replace function analytics.dashboard_comparison(site text)
returns table (
    version_a text, version_b text, from_time timestamptz, to_time timestamptz, measure text,
    a double precision, b double precision, difference double precision,
    difference_low double precision, difference_high double precision,
    a_sample bigint, b_sample bigint)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    wanted text := site;
    pair record;
begin
    -- The two versions that sent most in the week up to the last event, the older one first.
    with last_hour as (
        select max(h.hour) + interval '1 hour' as ends_at
        from floor.model_hourly h
        where h.site_key = floor.key_of_site(wanted)
    ),
    largest as (
        select h.model_key, l.ends_at, min(v.first_seen_at) as first_at, m.model_version
        from last_hour l
        join floor.model_hourly h
          on h.site_key = floor.key_of_site(wanted) and h.hour >= l.ends_at - interval '7 days'
         and h.hour < l.ends_at
        left join floor.models m on m.model_key = h.model_key
        join analytics.model_versions v
          on v.site_id = wanted and v.model_version is not distinct from m.model_version
        group by h.model_key, l.ends_at, m.model_version
        order by sum(h.events) desc
        limit 2
    )
    select array_agg(g.model_version order by g.first_at) as versions, max(g.ends_at) as ends_at,
        count(*) as n
    into pair
    from largest g;
    if pair.n < 2 then
        return;
    end if;
    return query
    select pair.versions[1], pair.versions[2], pair.ends_at - interval '7 days', pair.ends_at, c.*
    from analytics.model_comparison(
        wanted, pair.versions[1], pair.versions[2], pair.ends_at - interval '7 days',
        pair.ends_at) c;
end
$$;
comment on function analytics.dashboard_comparison is 'The two largest model versions of the site''s last seven days side by side, as analytics.model_comparison has it; no row where there is one only';
