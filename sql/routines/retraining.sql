-- Requests to train a model anew: raised by signals that hold, by the accuracy people find, by
-- a person; one open request per site and model; and the states it may go through.

create or replace function ops.retraining_next(p_state text)
returns text[]
language sql immutable strict
set search_path = pg_catalog, pg_temp
as $$
-- The states that may follow. An export may be made again; what has ended stays ended.
    select case p_state
        when 'requested' then array['approved', 'rejected']
        when 'approved' then array['exported', 'rejected']
        when 'exported' then array['exported', 'trained', 'rejected']
        when 'trained' then array['deployed', 'rejected']
        else array[]::text[] end
$$;

create or replace function ops.retraining_evidence(
    p_site_key integer, p_model_key integer, p_now timestamptz)
returns jsonb
language plpgsql
set search_path = ops, pg_temp
set timezone = 'UTC'
as $$
-- What speaks for training a model anew. What began or was said before its last request ended
-- was decided on then: it is no evidence again.
declare
    s ops.drift_settings := ops.drift_settings_of(p_site_key);
    ended_at timestamptz := coalesce((
        select max(r.state_at) from ops.retraining_requests r
        where r.site_key = p_site_key and r.model_key = p_model_key
          and r.state in ('deployed', 'rejected')), '-infinity');
    alerts jsonb;
    accuracy jsonb;
    confidence jsonb;
begin
    select jsonb_agg(jsonb_build_object(
            'alert_id', q.alert_key, 'signal', q.signal, 'subject', q.subject,
            'since', q.since, 'last_bad_at', q.last_bad_at,
            'held', q.last_bad_at >= q.since + s.retrain_after_h * interval '1 hour',
            'numbers', q.detail) order by q.alert_key)
    into alerts
    from (
        select a.alert_key, a.signal, a.subject, a.last_bad_at, a.detail, max(e.at) as since
        from ops.alerts a
        join ops.alert_events e
          on e.alert_key = a.alert_key and e.transition in ('opened', 'reopened')
        where a.site_key = p_site_key and a.state <> 'resolved'
          and (a.signal like 'confidence\_%' or a.signal = 'rolling_low')
          and exists (
              select from ops.drift_checks c
              where c.site_key = p_site_key and c.signal = a.signal
                and c.model_key = p_model_key
                and ops.subject_of(c.model_key, c.camera_key) = a.subject)
        group by a.alert_key
        having max(e.at) > ended_at
    ) q;
    select jsonb_build_object(
        'validated', j.n, 'right', j.hits, 'accuracy', floor.ratio(j.hits, j.n),
        'low', i.low, 'high', i.high, 'threshold', s.accuracy_low,
        'below', j.n >= s.accuracy_events and j.hits < s.accuracy_low * j.n)
    into accuracy
    from (
        select count(*) as n, count(*) filter (where v.verdict = 'right') as hits
        from ops.validations v
        where v.site_key = p_site_key and v.model_key = p_model_key and v.stands
          and v.validated_at > greatest(p_now - interval '14 days', ended_at)
          and v.validated_at <= p_now
    ) j
    cross join lateral floor.wilson(j.hits, j.n) i;
    select jsonb_build_object(
        'days', 7, 'events', coalesce(sum(d.events), 0),
        'mean', floor.ratio(sum(d.confidence_sum), sum(d.events)),
        'stddev', floor.sample_deviation(
            sum(d.events), sum(d.confidence_sum), sum(d.confidence_squares)))
    into confidence
    from floor.model_daily d
    where d.site_key = p_site_key and d.model_key = p_model_key
      and d.day >= date_trunc('day', p_now) - interval '7 days' and d.day <= p_now;
    return jsonb_build_object('at', p_now, 'alerts', coalesce(alerts, '[]'),
                              'accuracy', accuracy, 'confidence', confidence);
end
$$;

create or replace function ops.request_retraining(
    p_site_key integer, p_model_key integer, p_reason text, p_at timestamptz,
    p_who text, p_note text, p_evidence jsonb)
returns bigint
language plpgsql
set search_path = ops, pg_temp
as $$
-- The number of the new request; null where one of this site and model is open.
declare
    key bigint;
begin
    insert into ops.retraining_requests
        (site_key, model_key, reason, requested_at, requested_by, state_at, evidence)
    values (p_site_key, p_model_key, p_reason, p_at, p_who, p_at, p_evidence)
    on conflict (site_key, model_key) where state not in ('deployed', 'rejected') do nothing
    returning request_key into key;
    if key is not null then
        insert into ops.retraining_steps (request_key, state, at, who, note)
        values (key, 'requested', p_at, p_who, p_note);
    end if;
    return key;
end
$$;

create or replace function ops.raise_retraining(p_site_key integer, p_now timestamptz)
returns integer
language plpgsql
set search_path = ops, pg_temp
as $$
-- Requests for the models of a site whose confidence signals have held, or whose events
-- people found wrong too often; returns how many are new.
declare
    model integer;
    evidence jsonb;
    reason text;
    raised integer := 0;
begin
    for model in
        select c.model_key from ops.drift_checks c where c.site_key = p_site_key
        union
        select v.model_key from ops.validations v
        where v.site_key = p_site_key and v.validated_at > p_now - interval '14 days'
        order by 1
    loop
        continue when exists (
            select from ops.retraining_requests r
            where r.site_key = p_site_key and r.model_key = model
              and r.state not in ('deployed', 'rejected'));
        evidence := ops.retraining_evidence(p_site_key, model, p_now);
        reason := case
            when jsonb_path_exists(evidence, '$.alerts[*] ? (@.held == true)') then 'confidence'
            when (evidence #>> '{accuracy,below}')::boolean then 'accuracy' end;
        if reason is not null and ops.request_retraining(
                p_site_key, model, reason, p_now, null, null, evidence) is not null then
            raised := raised + 1;
        end if;
    end loop;
    return raised;
end
$$;

create or replace function ops.move_retraining(
    p_request_key bigint, p_state text, p_at timestamptz, p_who text, p_note text,
    p_detail jsonb)
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- Brings a request into a state, or says why it cannot come there.
declare
    r ops.retraining_requests;
    allowed text[];
begin
    select * into r from ops.retraining_requests q where q.request_key = p_request_key for update;
    if not found then
        raise exception 'there is no retraining request %', p_request_key
            using errcode = 'no_data_found', hint = 'floorpulse retraining list shows them.';
    end if;
    allowed := ops.retraining_next(r.state);
    if p_state <> all (allowed) then
        raise exception 'request % is %: it cannot become %', p_request_key, r.state, p_state
            using hint = case when allowed = array[]::text[] then 'That is its end.'
                else 'It can become ' || array_to_string(allowed, ' or ') || '.' end;
    end if;
    update ops.retraining_requests q set state = p_state, state_at = p_at
    where q.request_key = p_request_key;
    insert into ops.retraining_steps (request_key, was, state, at, who, note, detail)
    values (p_request_key, r.state, p_state, p_at, p_who, p_note, coalesce(p_detail, '{}'));
end
$$;

create or replace function ops.keep_export(
    p_request_key bigint, p_folder text, p_manifest text, p_sha256 text, p_at timestamptz,
    p_who text, p_note text)
returns bigint
language plpgsql
set search_path = ops, pg_temp
as $$
-- An export is made: the request is exported, and whoever is to know will be told of this
-- export, no longer of one before it.
declare
    key bigint;
begin
    perform ops.move_retraining(p_request_key, 'exported', p_at, p_who, p_note,
        jsonb_build_object('folder', p_folder, 'manifest_sha256', p_sha256));
    update ops.retraining_calls c
    set gave_up_at = p_at, last_error = 'exported anew'
    from ops.retraining_exports e
    where e.export_key = c.export_key and e.request_key = p_request_key
      and c.delivered_at is null and c.gave_up_at is null;
    insert into ops.retraining_exports
        (request_key, folder, manifest, manifest_sha256, exported_at)
    values (p_request_key, p_folder, p_manifest, p_sha256, p_at)
    returning export_key into key;
    insert into ops.retraining_calls (export_key, target) values (key, 'webhook'), (key, 'mlflow');
    return key;
end
$$;

create or replace function ops.retry_retraining_calls(p_request_key bigint)
returns integer
language sql
set search_path = ops, pg_temp
as $$
-- What waits of a request, or was given up, is due at once, with all its attempts; how many.
-- A call of an export that was made anew stays dropped.
    with due as (
        update ops.retraining_calls c
        set next_at = clock_timestamp(), gave_up_at = null,
            attempts = case when c.gave_up_at is null then c.attempts else 0 end
        from ops.retraining_exports e
        join ops.retraining_requests r on r.request_key = e.request_key
        where e.export_key = c.export_key and e.request_key = p_request_key
          and c.delivered_at is null and c.last_error is distinct from 'exported anew'
          and (r.state = 'exported' or c.target = 'mlflow')
        returning c.call_key
    )
    select count(*)::integer from due
$$;

create or replace function ops.claim_retraining_call(
    p_targets text[], p_request_key bigint, p_seen bigint[])
returns table (
    call_key bigint, target text, attempt integer, delivery_id uuid, request_key bigint,
    site_id text, model_version text, reason text, evidence jsonb, folder text, manifest text,
    manifest_sha256 text)
language plpgsql
set search_path = ops, pg_temp
as $$
-- The next call that is due, to one caller only: it comes up again after a pause that doubles
-- (1, 2, 4 ... minutes, 6 hours at most), unless it is marked as done. Of a request that was
-- rejected, or is trained already, no pipeline is started. p_request_key: only of this one, and
-- at once; p_seen: not these.
#variable_conflict use_column
declare
    key bigint;
begin
    select c.call_key into key
    from ops.retraining_calls c
    join ops.retraining_exports e on e.export_key = c.export_key
    join ops.retraining_requests r on r.request_key = e.request_key
    where c.target = any (p_targets) and c.delivered_at is null and c.gave_up_at is null
      and (r.state = 'exported' or c.target = 'mlflow') and c.call_key <> all (p_seen)
      and case when p_request_key is null then c.next_at <= clock_timestamp()
               else r.request_key = p_request_key end
    order by c.next_at
    limit 1
    for update of c skip locked;
    return query
    update ops.retraining_calls c
    set attempts = c.attempts + 1,
        next_at = clock_timestamp()
            + least(interval '6 hours', interval '1 minute' * 2 ^ least(c.attempts, 20))
    from ops.retraining_exports e
    join ops.retraining_requests r on r.request_key = e.request_key
    join floor.sites s on s.site_key = r.site_key
    left join floor.models m on m.model_key = r.model_key
    where c.call_key = key and e.export_key = c.export_key
    returning c.call_key, c.target, c.attempts, e.delivery_id, r.request_key, s.site_id,
        m.model_version, r.reason, r.evidence, e.folder, e.manifest, e.manifest_sha256;
end
$$;
