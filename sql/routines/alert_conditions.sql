-- What can be wrong with a site at an instant: verdicts of drift, silence, late metrics, parked
-- events, failing jobs, and the server under it (docs/alerts.md).

create or replace function ops.subject_of(p_model_key integer, p_camera_key integer)
returns text
language sql stable
set search_path = floor, pg_temp
as $$
-- What a verdict is about, in words.
    select concat_ws(' ',
        coalesce((select m.model_version from floor.models m where m.model_key = p_model_key),
                 '(no version)'),
        (select c.camera_id from floor.cameras c where c.camera_key = p_camera_key))
$$;

create or replace function ops.drift_conditions(p_site_key integer, p_now timestamptz)
returns table (signal text, subject text, severity text, bad boolean, detail jsonb)
language sql stable
set search_path = ops, pg_temp
as $$
-- One condition per signal and subject, whichever window says it; none without a verdict.
    with told as (
        select c.signal, c.model_key, c.camera_key, bool_or(c.verdict = 'drifting') as bad,
            (array_agg(jsonb_build_object(
                'span', c.span, 'current', c.current, 'baseline', c.baseline,
                'threshold', c.threshold, 'events', c.events,
                'baseline_events', c.baseline_events)
                order by c.verdict = 'drifting' desc, c.span))[1] as detail
        from ops.drift_checks c
        where c.site_key = p_site_key and c.checked_now = p_now
          and c.verdict <> 'not enough data'
        group by c.signal, c.model_key, c.camera_key
    )
    select t.signal, ops.subject_of(t.model_key, t.camera_key),
        case when t.signal = 'rolling_low' then 'critical' else 'warning' end, t.bad, t.detail
    from told t
    where t.bad
       or exists (select from ops.alerts a
                  where a.site_key = p_site_key and a.signal = t.signal and a.state <> 'resolved')
$$;

create or replace function ops.longest_silence_s(
    p_site_key integer, p_camera_key integer, p_now timestamptz)
returns double precision
language sql stable
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- How long a camera has been silent at the most in a shift of the last 30 days, a whole shift
-- included, if the site itself was not silent in it.
    with shifts as (
        select i.starts_at, i.ends_at
        from floor.shift_instances i
        where i.site_key = p_site_key and i.ends_at <= p_now
          and i.starts_at > p_now - interval '30 days'
          and exists (select from floor.model_hourly h
                      where h.site_key = p_site_key and h.hour >= i.starts_at and h.hour < i.ends_at)
    ),
    sent as (
        select s.starts_at, s.ends_at, h.first_at, h.last_at,
            lag(h.last_at, 1, s.starts_at) over w as before_at,
            lead(h.first_at, 1, s.ends_at) over w as after_at
        from shifts s
        left join floor.model_hourly h
          on h.site_key = p_site_key and h.camera_key = p_camera_key
         and h.hour >= s.starts_at - interval '59 minutes' and h.hour < s.ends_at
         and h.hour > p_now - interval '31 days'
        window w as (partition by s.starts_at order by h.hour)
    )
    select coalesce(max(extract(epoch from greatest(
        coalesce(t.first_at, t.ends_at) - t.before_at,
        t.after_at - coalesce(t.last_at, t.starts_at)))), 0)::double precision
    from sent t
$$;

create or replace function ops.silence_conditions(p_site_key integer, p_now timestamptz)
returns table (signal text, subject text, severity text, bad boolean, detail jsonb)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- A site or camera from which nothing came for longer than silent_after_s of the running
-- shift, breaks left out, though it sent at this hour in two of the last four weeks; a camera
-- also for more than twice as long as ever in 30 days (nobody may have been at its bench).
-- While the refresh is behind nobody knows; a silent site says it for all its cameras.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    hour0 timestamptz := floor.hour_of(p_now);
    began_at timestamptz;
begin
    select i.starts_at into began_at
    from floor.shift_instances i
    where i.site_key = p_site_key and i.starts_at <= p_now and i.ends_at > p_now;
    if not found or not exists (
            select from floor.refresh_state r
            where r.site_key = p_site_key and r.cut_now > p_now - interval '5 minutes') then
        return;
    end if;
    return query
    with expected as (
        select case when grouping(h.camera_key) = 1 then -1 else h.camera_key end as camera_key
        from floor.model_hourly h
        where h.site_key = p_site_key
          and h.hour = any (array(select hour0 - k * interval '7 days' from generate_series(1, 4) k))
        group by grouping sets ((h.camera_key), ())
        having count(distinct h.hour) >= 2
    ),
    seen as (
        select case when grouping(q.camera_key) = 1 then -1 else q.camera_key end as camera_key,
            max(q.last_at) as last_at
        from (
            select d.camera_key, d.last_at
            from floor.model_daily d
            where d.site_key = p_site_key and d.day < date_trunc('day', p_now)
              and d.day >= date_trunc('day', p_now) - interval '30 days'
            union all
            select h.camera_key, h.last_at
            from floor.model_hourly h
            where h.site_key = p_site_key and h.hour >= date_trunc('day', p_now) and h.hour < p_now
        ) q
        group by grouping sets ((q.camera_key), ())
    ),
    waited as materialized (
        select e.camera_key, v.last_at,
            (select coalesce(sum(extract(epoch from least(c.ends_at, p_now)
                 - greatest(c.starts_at, v.last_at, began_at))), 0)
             from floor.calendar_slices c
             where c.site_key = p_site_key and not c.in_break
               and c.hour >= floor.hour_of(began_at) and c.starts_at < p_now
               and c.ends_at > greatest(v.last_at, began_at)) as waited_s
        from expected e
        join seen v using (camera_key)
        where e.camera_key <> 0
    ),
    allowed as (
        select w.*, greatest(s.silent_after_s, case
            when w.camera_key > 0 and w.waited_s > s.silent_after_s
            then 2 * ops.longest_silence_s(p_site_key, w.camera_key, p_now) end) as allowed_s
        from waited w
    )
    select
        case when w.camera_key = -1 then 'silent_site' else 'silent_camera' end,
        coalesce((select c.camera_id from floor.cameras c where c.camera_key = w.camera_key), 'site'),
        case when w.camera_key = -1 then 'critical' else 'warning' end,
        w.waited_s > w.allowed_s,
        jsonb_build_object('last_at', w.last_at, 'current', w.waited_s, 'threshold', w.allowed_s)
    from allowed w
    where w.camera_key = -1
       or not exists (select from waited q
                      where q.camera_key = -1 and q.waited_s > s.silent_after_s);
end
$$;

create or replace function ops.house_conditions(p_site_key integer, p_now timestamptz)
returns table (signal text, subject text, severity text, bad boolean, detail jsonb)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Metrics more than 5 minutes behind (in the first check after a pause, they may just be
-- catching up), and too many events parked in an hour of arrival (the open one or the one
-- before, of 100 events at least).
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
begin
    return query
    select 'freshness', 'metrics', 'critical',
        coalesce(r.aggregated_now < p_now - interval '5 minutes', true),
        jsonb_build_object('last_at', r.aggregated_now,
            'current', extract(epoch from p_now - r.aggregated_now), 'threshold', 300)
    from floor.refresh_state r
    where r.site_key = p_site_key and r.first_event_at is not null
      and exists (select from ops.drift_state d
                  where d.site_key = p_site_key and d.checked_now >= p_now - interval '20 minutes');
    return query
    with hours as (
        select t.hour, sum(t.parked) as parked,
            sum(t.parked + t.stored + t.duplicates) as read
        from ingest.tallies t
        join floor.sites q on q.site_id = t.site_id
        where q.site_key = p_site_key
          and t.hour >= floor.hour_of(p_now) - interval '1 hour' and t.hour <= p_now
        group by t.hour
    )
    select 'parked', 'events', 'warning', coalesce(max(h.parked / h.read), 0) > s.parked_share,
        jsonb_build_object('current', max(h.parked / h.read), 'threshold', s.parked_share,
            'events', sum(h.parked))
    from hours h
    where h.read >= 100;
end
$$;

create or replace function ops.server_conditions(p_site_key integer, p_now timestamptz)
returns table (signal text, subject text, severity text, bad boolean, detail jsonb)
language sql stable
set search_path = ops, pg_temp
as $$
-- Jobs that fail, the database's connections, transaction ids and oldest transaction, and room
-- on the local server's disk. Every site depends on them, so every site says so. They are of
-- now: a check that looks back says nothing of them.
    with found (signal, subject, severity, current, threshold, more) as (
        select 'jobs', j.job, 'critical',
            case when j.last_error is null then 0 else
                extract(epoch from p_now - coalesce(j.last_ok_at, j.last_finished_at)) end,
            greatest(900, 3 * j.interval_s), jsonb_build_object('error', j.last_error)
        from ops.jobs j
        union all
        select 'database', 'connections', 'critical', count(*),
            0.9 * current_setting('max_connections')::integer, '{}'
        from pg_stat_activity a
        where a.backend_type = 'client backend'
        union all
        -- The server stops writing at 2^31.
        select 'database', 'transaction ids', 'critical', age(d.datfrozenxid), 1e9, '{}'
        from pg_database d
        where d.datname = current_database()
        union all
        select 'database', 'old transaction', 'warning',
            coalesce(max(extract(epoch from clock_timestamp() - a.xact_start)), 0), 14400, '{}'
        from pg_stat_activity a
        where a.datname = current_database() and a.backend_type = 'client backend'
        union all
        select 'disk', 'data folder', 'critical', -s.free_bytes, -s.least_bytes,
            jsonb_build_object('free_bytes', s.free_bytes, 'total_bytes', s.total_bytes)
        from ops.storage s
        where s.measured_at > p_now - interval '1 hour'
    )
    select f.signal, f.subject, f.severity, f.current > f.threshold,
        jsonb_build_object('current', abs(f.current), 'threshold', abs(f.threshold)) || f.more
    from found f
    where p_now > clock_timestamp() - interval '1 hour'
      and (f.current > f.threshold
           or exists (select from ops.alerts a
                      where a.site_key = p_site_key and a.signal = f.signal
                        and a.subject = f.subject and a.state <> 'resolved'))
$$;
