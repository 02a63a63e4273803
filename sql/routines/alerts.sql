-- Alerts: what is wrong becomes one row with a life of its own (docs/alerts.md). Every
-- transition is a row of ops.alert_events.

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
-- Metrics more than 5 minutes behind, and too many events parked in an hour of arrival (the
-- open one or the one before, of 100 events at least).
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
begin
    return query
    select 'freshness', 'metrics', 'critical',
        coalesce(r.aggregated_now < p_now - interval '5 minutes', true),
        jsonb_build_object('last_at', r.aggregated_now,
            'current', extract(epoch from p_now - r.aggregated_now), 'threshold', 300)
    from floor.refresh_state r
    where r.site_key = p_site_key and r.first_event_at is not null;
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

create or replace function ops.clean_checks_needed(p_reopened integer)
returns integer
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
-- Two clean checks in a row resolve an alert; every time it came back within a day, twice as
-- many as before, at most a day's worth.
    select least(96, 2 * (1 << least(p_reopened, 6)))
$$;

create or replace function ops.note_transition(
    p_alert_key bigint, p_transition text, p_at timestamptz, p_who text default null,
    p_note text default null)
returns void
language sql
set search_path = ops, pg_temp
as $$
-- The row that senders claim, and with it the messages of the channels.
    insert into ops.alert_events (alert_key, transition, at, who, note, detail)
    select a.alert_key, p_transition, p_at, p_who, p_note, a.detail
    from ops.alerts a
    where a.alert_key = p_alert_key;
    select ops.queue_messages(max(e.event_key))
    from ops.alert_events e
    where e.alert_key = p_alert_key
$$;

create or replace function ops.raise_alert(
    p_site_key integer, p_signal text, p_subject text, p_severity text, p_detail jsonb,
    p_now timestamptz)
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- Something is wrong: opens an alert, goes on with one resolved less than a day ago, or notes
-- that an open one still holds.
declare
    a ops.alerts;
    key bigint;
begin
    select * into a
    from ops.alerts q
    where q.site_key = p_site_key and q.signal = p_signal and q.subject = p_subject
    order by q.alert_key desc
    limit 1
    for update;
    if not found or a.resolved_at <= p_now - interval '1 day' then
        insert into ops.alerts
            (site_key, signal, subject, severity, opened_at, last_bad_at, last_verdict_at, detail)
        values (p_site_key, p_signal, p_subject, p_severity, p_now, p_now, p_now, p_detail)
        returning alert_key into key;
        perform ops.note_transition(key, 'opened', p_now);
        return;
    end if;
    update ops.alerts q
    set last_bad_at = p_now, last_verdict_at = p_now, clean_checks = 0, severity = p_severity,
        detail = p_detail
    where q.alert_key = a.alert_key;
    if a.state = 'resolved' then
        update ops.alerts q
        set state = 'open', reopened = q.reopened + 1, resolved_at = null,
            acknowledged_at = null, acknowledged_by = null, note = null
        where q.alert_key = a.alert_key;
        perform ops.note_transition(a.alert_key, 'reopened', p_now);
    end if;
end
$$;

create or replace function ops.settle_alerts(p_site_key integer, p_now timestamptz)
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- Brings the alerts of a site in line with what is so at p_now. An alert of which nothing has
-- been known for a week (a model or camera that is gone) is resolved.
declare
    c record;
    a ops.alerts;
begin
    for c in
        select d.* from ops.drift_conditions(p_site_key, p_now) d
        union all
        select q.* from ops.silence_conditions(p_site_key, p_now) q
        union all
        select h.* from ops.house_conditions(p_site_key, p_now) h
    loop
        if c.bad then
            perform ops.raise_alert(p_site_key, c.signal, c.subject, c.severity, c.detail, p_now);
            continue;
        end if;
        update ops.alerts q
        set clean_checks = q.clean_checks + 1, last_verdict_at = p_now, detail = c.detail
        where q.site_key = p_site_key and q.signal = c.signal and q.subject = c.subject
          and q.state <> 'resolved'
        returning * into a;
        if found and a.clean_checks >= ops.clean_checks_needed(a.reopened) then
            perform ops.resolve_alert(a.alert_key, p_now, null, null);
        end if;
    end loop;
    for a in
        select * from ops.alerts q
        where q.site_key = p_site_key and q.state <> 'resolved'
          and (q.last_verdict_at <= p_now - interval '7 days' or q.snoozed_until <= p_now)
        for update
    loop
        if a.last_verdict_at <= p_now - interval '7 days' then
            perform ops.resolve_alert(a.alert_key, p_now, null, 'nothing known of it for 7 days');
        else
            update ops.alerts q set state = 'open', snoozed_until = null
            where q.alert_key = a.alert_key;
            perform ops.note_transition(a.alert_key, 'woken', p_now);
        end if;
    end loop;
end
$$;

create or replace function ops.resolve_alert(
    p_alert_key bigint, p_at timestamptz, p_who text, p_note text)
returns boolean
language plpgsql
set search_path = ops, pg_temp
as $$
-- False where it is resolved already. (So the other two: a transition happens once.)
begin
    update ops.alerts a
    set state = 'resolved', resolved_at = p_at, snoozed_until = null,
        note = coalesce(p_note, a.note)
    where a.alert_key = p_alert_key and a.state <> 'resolved';
    if found then
        perform ops.note_transition(p_alert_key, 'resolved', p_at, p_who, p_note);
    end if;
    return found;
end
$$;

create or replace function ops.acknowledge_alert(
    p_alert_key bigint, p_at timestamptz, p_who text, p_note text)
returns boolean
language plpgsql
set search_path = ops, pg_temp
as $$
-- Somebody is at it: from open or snoozed.
begin
    update ops.alerts a
    set state = 'acknowledged', acknowledged_at = p_at, acknowledged_by = p_who,
        note = coalesce(p_note, a.note), snoozed_until = null
    where a.alert_key = p_alert_key and a.state in ('open', 'snoozed');
    if found then
        perform ops.note_transition(p_alert_key, 'acknowledged', p_at, p_who, p_note);
    end if;
    return found;
end
$$;

create or replace function ops.snooze_alert(
    p_alert_key bigint, p_at timestamptz, p_until timestamptz, p_who text, p_note text)
returns boolean
language plpgsql
set search_path = ops, pg_temp
as $$
-- Not before p_until: the check after it wakes the alert, if it is not resolved by then.
begin
    update ops.alerts a
    set state = 'snoozed', snoozed_until = p_until, note = coalesce(p_note, a.note)
    where a.alert_key = p_alert_key and a.state <> 'resolved';
    if found then
        perform ops.note_transition(p_alert_key, 'snoozed', p_at, p_who, p_note);
    end if;
    return found;
end
$$;

create or replace function ops.claim_alert_events(p_by text, p_limit integer default 100)
returns setof ops.alert_events
language sql
set search_path = ops, pg_temp
as $$
-- Transitions that nobody has claimed, the oldest first, each to one caller only.
    update ops.alert_events e
    set claimed_by = p_by, claimed_at = clock_timestamp()
    where e.event_key in (
        select q.event_key from ops.alert_events q
        where q.claimed_at is null
        order by q.event_key
        limit p_limit
        for update skip locked)
      and e.claimed_at is null
    returning e.*
$$;
