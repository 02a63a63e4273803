-- name: sites --
-- One site, or every one (null), with the instant it was last checked at.
select s.site_key, s.site_id, d.checked_now
from floor.sites s
left join ops.drift_state d on d.site_key = s.site_key
where %(site)s::text is null or s.site_id = %(site)s
order by s.site_key

-- name: roll_up --
-- A bounded number of touched hours into sums; how many it took.
select floor.roll_up_models(%(site_key)s)

-- name: learn_all --
-- Every baseline that is due at an instant, no check of the site meanwhile; how many.
with alone as materialized (
    select pg_advisory_xact_lock(hashtext('floorpulse.drift'), %(site_key)s)
)
select ops.learn_due(%(site_key)s, %(now)s, 2147483647) from alone

-- name: check --
-- Verdicts and alerts of one site; 0 where it was checked at this instant or later.
select ops.check_drift(%(now)s, %(site_key)s)

-- name: clock --
-- The database's.
select clock_timestamp()

-- name: verdicts --
-- The last verdicts of a site, or of all.
select d.site_id, d.signal, d.model_version, d.camera_id, d.span, d.verdict, d.current,
    d.baseline, d.threshold, d.sample, d.baseline_sample, d.verdict_since, d.checked_at
from analytics.drift d
where %(site)s::text is null or d.site_id = %(site)s
order by d.site_id, d.verdict = 'drifting' desc, d.signal, d.model_version,
    d.camera_id nulls first, d.span

-- name: settings --
-- The thresholds of a site.
select s.confidence_drop, s.confidence_low, s.confidence_spread, s.confidence_shape,
    s.rolling_low, s.rolling_hold_s, s.state_mix, s.rate_shift, s.rate_share, s.silent_after_s,
    s.parked_share, s.retrain_after_h, s.accuracy_low, s.accuracy_events
from ops.drift_settings_of(%(site_key)s) s

-- name: change_settings --
-- What is null stays as it is.
update ops.drift_settings s
set confidence_drop = coalesce(%(confidence_drop)s, s.confidence_drop),
    confidence_low = coalesce(%(confidence_low)s, s.confidence_low),
    confidence_spread = coalesce(%(confidence_spread)s, s.confidence_spread),
    confidence_shape = coalesce(%(confidence_shape)s, s.confidence_shape),
    rolling_low = coalesce(%(rolling_low)s, s.rolling_low),
    rolling_hold_s = coalesce(%(rolling_hold_s)s, s.rolling_hold_s),
    state_mix = coalesce(%(state_mix)s, s.state_mix),
    rate_shift = coalesce(%(rate_shift)s, s.rate_shift),
    rate_share = coalesce(%(rate_share)s, s.rate_share),
    silent_after_s = coalesce(%(silent_after_s)s, s.silent_after_s),
    parked_share = coalesce(%(parked_share)s, s.parked_share),
    retrain_after_h = coalesce(%(retrain_after_h)s, s.retrain_after_h),
    accuracy_low = coalesce(%(accuracy_low)s, s.accuracy_low),
    accuracy_events = coalesce(%(accuracy_events)s, s.accuracy_events)
where s.site_key = %(site_key)s

-- name: note_change --
-- Who changed what.
insert into ops.audit_log (who, action, subject, detail)
values (%(who)s, 'drift set', %(site)s, %(said)s::jsonb)

-- name: run_started --
-- A check begins that no scheduler runs.
insert into ops.job_runs (job, site_id) values ('drift', %(site)s) returning run_id

-- name: run_finished --
-- It ended: well, or with an error.
update ops.job_runs
set finished_at = clock_timestamp(), ok = %(error)s::text is null, error = %(error)s,
    detail = %(detail)s::jsonb
where run_id = %(run_id)s

-- name: note_room --
-- What was measured last, of one folder: servers move.
with gone as (
    delete from ops.storage s where s.folder <> %(folder)s
)
insert into ops.storage (folder, free_bytes, least_bytes, total_bytes, measured_at)
values (%(folder)s, %(free)s, %(least)s, %(total)s, clock_timestamp())
on conflict (folder) do update
    set free_bytes = excluded.free_bytes, least_bytes = excluded.least_bytes,
        total_bytes = excluded.total_bytes, measured_at = excluded.measured_at
