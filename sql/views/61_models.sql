-- Model versions: when each was seen, how much of the events it makes, and two side by side.

create or replace view analytics.model_versions as
with seen as (
    select d.site_key, d.model_key, min(d.first_at) as first_at, max(d.last_at) as last_at,
        sum(d.events)::bigint as events
    from floor.model_daily d
    group by d.site_key, d.model_key
),
last_hours as (
    select h.site_key, max(h.hour) as hour
    from seen s
    join lateral (
        select q.site_key, q.hour from floor.model_hourly q
        where q.site_key = s.site_key order by q.hour desc limit 1
    ) h on true
    group by h.site_key
),
recent as (
    select h.site_key, h.model_key, sum(h.events) as events,
        count(distinct h.camera_key) filter (where h.camera_key > 0) as cameras,
        sum(sum(h.events)) over (partition by h.site_key) as all_events
    from last_hours l
    join floor.model_hourly h
      on h.site_key = l.site_key and h.hour > l.hour - interval '24 hours'
    group by h.site_key, h.model_key
)
select
    s.site_id, m.model_version, q.first_at as first_seen_at, q.last_at as last_seen_at,
    q.events as events_seen,
    coalesce(floor.ratio(r.events, r.all_events), 0) as recent_share,
    coalesce(r.cameras, 0) as recent_cameras,
    coalesce(a.validated, 0) as validated, a.accuracy, a.accuracy_low, a.accuracy_high
from seen q
join floor.sites s on s.site_key = q.site_key
left join floor.models m on m.model_key = q.model_key
left join recent r on r.site_key = q.site_key and r.model_key = q.model_key
left join analytics.model_accuracy a
  on a.site_id = s.site_id and a.model_version is not distinct from m.model_version;

comment on view analytics.model_versions is 'Site x model version: when its events were first and last seen, its share of the latest ones (a canary''s share), its accuracy; up to the last drift check';
comment on column analytics.model_versions.model_version is 'Version of the model; null: the events named none';
comment on column analytics.model_versions.first_seen_at is 'Time of its first event';
comment on column analytics.model_versions.last_seen_at is 'Time of its last event';
comment on column analytics.model_versions.recent_share is 'Its share of the site''s events in the last 24 UTC hours up to the site''s last event, a fraction of 1';
comment on column analytics.model_versions.recent_cameras is 'Cameras that sent its events in those hours';
comment on column analytics.model_versions.validated is 'Its events with a verdict of a person';
comment on column analytics.model_versions.accuracy is 'Share of them that were right, a fraction of 1';
comment on column analytics.model_versions.accuracy_low is 'Lower end of the 95 % Wilson interval';
comment on column analytics.model_versions.accuracy_high is 'Upper end of the 95 % Wilson interval';

create or replace function analytics.model_comparison(
    site text, version_a text, version_b text, from_time timestamptz, to_time timestamptz)
returns table (
    measure text, a double precision, b double precision, difference double precision,
    difference_low double precision, difference_high double precision,
    a_sample bigint, b_sample bigint)
language plpgsql stable security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    site_asked integer := floor.key_of_site(site);
    key_a integer := floor.key_of_model(site_asked, version_a);
    key_b integer := floor.key_of_model(site_asked, version_b);
begin
    perform floor.require_window(from_time, to_time);
    if key_a = key_b then
        raise exception 'a comparison takes two versions, not % twice',
            quote_literal(coalesce(version_a, ''))
            using errcode = 'invalid_parameter_value', hint = 'floorpulse model list shows them.';
    end if;
    return query
    with hours as (
        select h.model_key, h.camera_key, h.hour, h.events, h.working, h.idle, h.absent,
            h.units::double precision as units, h.confidence_sum, h.confidence_squares
        from floor.model_hourly h
        where h.site_key = site_asked and h.hour >= from_time and h.hour < to_time
    ),
    looked_at as (
        select v.model_key, count(*) as n, count(*) filter (where v.verdict = 'right') as hits
        from ops.validations v
        where v.site_key = site_asked and v.stands and v.time >= from_time and v.time < to_time
        group by v.model_key
    ),
    sums as materialized (
        select k.key, coalesce(sum(h.events), 0)::bigint as events,
            sum(h.confidence_sum) as total, sum(h.confidence_squares) as squares,
            coalesce(sum(h.working + h.idle + h.absent), 0)::bigint as states,
            sum(h.working) as working, sum(h.idle) as idle, sum(h.absent) as absent,
            count(h.hour) as hours, sum(h.units) as units, sum(h.units * h.units) as units_squares,
            (select sum(q.events) from hours q) as all_events,
            coalesce(max(l.n), 0) as validated, max(l.hits) as hits
        from (values (key_a), (key_b)) as k (key)
        left join hours h on h.model_key = k.key
        left join looked_at l on l.model_key = k.key
        group by k.key
    ),
    measured as (
        select s.key, m.*
        from sums s
        cross join lateral (values
            (1, 'confidence_mean', 'mean', floor.ratio(s.total, s.events),
             floor.sample_deviation(s.events, s.total, s.squares), null, s.events),
            (2, 'confidence_stddev', 'value',
             floor.sample_deviation(s.events, s.total, s.squares), null, null, s.events),
            (3, 'working_share', 'share', floor.ratio(s.working, s.states), null, s.working,
             s.states),
            (4, 'idle_share', 'share', floor.ratio(s.idle, s.states), null, s.idle, s.states),
            (5, 'absent_share', 'share', floor.ratio(s.absent, s.states), null, s.absent, s.states),
            (6, 'units_per_camera_hour', 'mean', floor.ratio(s.units, s.hours),
             floor.sample_deviation(s.hours, s.units, s.units_squares), null, s.hours),
            (7, 'accuracy', 'share', floor.ratio(s.hits, s.validated), null, s.hits, s.validated),
            (8, 'event_share', 'part', floor.ratio(s.events, s.all_events), null, null, s.events)
        ) as m (place, measure, kind, value, deviation, hits, n)
    )
    select x.measure, x.value, y.value,
        case when x.kind <> 'part' then y.value - x.value end,
        coalesce(w.low, n.low), coalesce(w.high, n.high), x.n, y.n
    from measured x
    join measured y on y.place = x.place
    left join lateral floor.welch(x.n, x.value, x.deviation, y.n, y.value, y.deviation) w
      on x.kind = 'mean'
    left join lateral floor.newcombe(x.hits, x.n, y.hits, y.n) n on x.kind = 'share'
    where x.key = key_a and y.key = key_b
    order by x.place;
end
$$;

comment on function analytics.model_comparison is 'Two model versions of a site side by side over a window on UTC hours: confidence, state mix, rate, accuracy, share of all events; b less a with its 95 % interval (docs/models.md). Version null: events that name none';
