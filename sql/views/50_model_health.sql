-- How the models do: confidence, states and units by hour, verdicts, alerts.

create or replace function floor.confidence_quantile(p_histogram bigint[], p_quantile double precision)
returns double precision
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
-- Quantile from 20 bins, straight within the bin: off by less than the bin's width, 0.05.
    select (b.place - 1 + (b.wanted - b.below) / b.n) / 20.0
    from (
        select u.place, u.n, sum(u.n) over (order by u.place) - u.n as below,
            p_quantile * sum(u.n) over () as wanted
        from unnest(p_histogram) with ordinality as u (n, place)
    ) b
    where b.n > 0 and b.below + b.n >= b.wanted
    order by b.place
    limit 1
$$;

create or replace view analytics.confidence_hourly as
with sums as (
    select h.site_key, h.model_key, h.hour, sum(h.events)::bigint as events,
        sum(h.confidence_sum) as total, sum(h.confidence_squares) as squares,
        array[
            sum(h.b00), sum(h.b01), sum(h.b02), sum(h.b03), sum(h.b04), sum(h.b05), sum(h.b06),
            sum(h.b07), sum(h.b08), sum(h.b09), sum(h.b10), sum(h.b11), sum(h.b12), sum(h.b13),
            sum(h.b14), sum(h.b15), sum(h.b16), sum(h.b17), sum(h.b18), sum(h.b19)] as histogram
    from floor.model_hourly h
    group by h.site_key, h.model_key, h.hour
)
select
    s.site_id, m.model_version, q.hour, q.events,
    q.total / q.events as mean,
    floor.sample_deviation(q.events, q.total, q.squares) as stddev,
    floor.confidence_quantile(q.histogram, 0.05) as p05,
    floor.confidence_quantile(q.histogram, 0.5) as p50,
    q.histogram
from sums q
join floor.sites s on s.site_key = q.site_key
left join floor.models m on m.model_key = q.model_key;

create or replace view analytics.state_mix_hourly as
select
    s.site_id, m.model_version, c.camera_id, h.hour,
    h.working::bigint as working_events, h.idle::bigint as idle_events,
    h.absent::bigint as absent_events,
    h.working::double precision / nullif(h.working + h.idle + h.absent, 0) as working_share,
    h.idle::double precision / nullif(h.working + h.idle + h.absent, 0) as idle_share,
    h.absent::double precision / nullif(h.working + h.idle + h.absent, 0) as absent_share
from floor.model_hourly h
join floor.sites s on s.site_key = h.site_key
left join floor.models m on m.model_key = h.model_key
left join floor.cameras c on c.camera_key = h.camera_key;

create or replace view analytics.rate_hourly as
select
    s.site_id, m.model_version, c.camera_id, h.hour, h.units as units_seen,
    h.events::bigint as events_seen,
    (h.events - h.working - h.idle - h.absent)::bigint as count_events
from floor.model_hourly h
join floor.sites s on s.site_key = h.site_key
left join floor.models m on m.model_key = h.model_key
left join floor.cameras c on c.camera_key = h.camera_key;

create or replace view analytics.drift as
select
    s.site_id, d.signal, m.model_version, c.camera_id, d.span, d.verdict, d.current,
    d.baseline, d.threshold, d.events as sample, d.baseline_events as baseline_sample,
    d.since as verdict_since, d.checked_now as checked_at
from ops.drift_checks d
join floor.sites s on s.site_key = d.site_key
left join floor.models m on m.model_key = d.model_key
left join floor.cameras c on c.camera_key = d.camera_key;

create or replace view analytics.alerts as
select
    a.alert_key as alert_id, s.site_id, a.signal, a.subject, a.severity, a.state as alert_state,
    a.opened_at, a.last_bad_at, a.reopened, a.acknowledged_by, a.note, a.snoozed_until,
    a.resolved_at, a.detail
from ops.alerts a
join floor.sites s on s.site_key = a.site_key;

comment on view analytics.confidence_hourly is 'Site x model version x UTC hour: confidence of all events, also those below the gate';
comment on view analytics.state_mix_hourly is 'Site x model version x camera x UTC hour: which states the events said';
comment on view analytics.rate_hourly is 'Site x model version x camera x UTC hour: products counted by all events, also those below the gate';
comment on view analytics.drift is 'The last verdict of every drift signal on every model version and camera, see docs/drift.md';
comment on view analytics.alerts is 'Alerts, open and resolved, see docs/alerts.md';
comment on column analytics.confidence_hourly.events is 'All events, states and counts, whatever their confidence';
comment on column analytics.drift.camera_id is 'The camera; null: all cameras of the model together';
