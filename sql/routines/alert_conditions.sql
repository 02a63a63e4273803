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
-- One condition per signal and subject, whichever window says it; none without a verdict. What
-- has sent nothing since it was last found wrong is not well: its windows only move on.
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
       or exists (
           select from ops.alerts a
           join floor.model_hourly h
             on h.site_key = p_site_key and h.model_key = t.model_key
            and t.camera_key in (-1, h.camera_key)
            and h.hour > a.last_bad_at - interval '1 hour' and h.hour < p_now
            and h.last_at > a.last_bad_at
           where a.site_key = p_site_key and a.signal = t.signal and a.state <> 'resolved'
             and a.subject = ops.subject_of(t.model_key, t.camera_key))
$$;

-- Replaced by ops.learn_silences: what a camera's record says is learnt once a day.
drop function if exists ops.longest_silence_s(integer, integer, timestamptz);

create or replace function ops.silence_conditions(p_site_key integer, p_now timestamptz)
returns table (signal text, subject text, severity text, bad boolean, detail jsonb)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- A site (key -1) or camera from which nothing came for longer than silent_after_s of the
-- running shift, breaks left out, though it sent at this hour in two of the last four weeks; a
-- camera also against its record, unless a person says that it always sends. What is silent
-- stays so until it sends: the begin of the next shift ends no alert. While the refresh is
-- behind nobody knows; a silent site says it for all its cameras.
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
    asked as (
        select -1 as camera_key, 'site' as subject, 'silent_site' as signal, true as plainly
        from expected e
        where e.camera_key = -1
        union all
        select c.camera_key, c.camera_id, 'silent_camera', c.expected = 'always'
        from floor.cameras c
        left join expected e on e.camera_key = c.camera_key
        where c.site_key = p_site_key
          and (c.expected = 'always' or c.expected = 'learned' and e.camera_key is not null)
    ),
    waited as materialized (
        select a.*, v.last_at,
            (select coalesce(sum(extract(epoch from least(c.ends_at, p_now)
                 - greatest(c.starts_at, v.last_at, began_at))), 0)::double precision
             from floor.calendar_slices c
             where c.site_key = p_site_key and not c.in_break
               and c.hour >= floor.hour_of(began_at) and c.starts_at < p_now
               and c.ends_at > greatest(v.last_at, began_at)) as waited_s
        from asked a
        left join seen v on v.camera_key = a.camera_key
    ),
    learnt as (
        select l.*
        from (
            select array_agg(w.camera_key) as cameras, array_agg(w.last_at) as last_at
            from waited w
            where not w.plainly and w.last_at is not null and w.waited_s > s.silent_after_s
        ) w
        cross join lateral ops.learnt_silences(
            p_site_key, began_at, p_now, w.cameras, w.last_at, s.silent_after_s) l
    ),
    judged as (
        select w.*, l.current_s, l.allowed_s, coalesce(not l.stops, false) as usually,
            case when w.plainly then w.waited_s > s.silent_after_s
                 when w.waited_s > s.silent_after_s then l.bad
                 when w.last_at is not null then false end
            or exists (
                select from ops.alerts a
                where a.site_key = p_site_key and a.signal = w.signal and a.subject = w.subject
                  and a.state <> 'resolved' and a.clean_checks = 0
                  and (a.detail ->> 'last_at')::timestamptz is not distinct from w.last_at) as bad
        from waited w
        left join learnt l on l.camera_key = w.camera_key
    )
    select j.signal, j.subject, case when j.camera_key = -1 then 'critical' else 'warning' end,
        j.bad,
        jsonb_build_object(
            'last_at', j.last_at,
            'current', coalesce(j.current_s, j.waited_s),
            'threshold', coalesce(j.allowed_s, s.silent_after_s),
            'counted', case when j.usually then 'the time in which it usually sends'
                            else 'the shift' end)
    from judged j
    where j.bad is not null
      and (j.camera_key = -1
           or not exists (select from judged q where q.camera_key = -1 and q.bad));
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
