-- Alerts: what is wrong becomes one row with a life of its own (docs/alerts.md). Every
-- transition is a row of ops.alert_events.

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
        union all
        select v.* from ops.server_conditions(p_site_key, p_now) v
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
