-- Model health: what cameras say by hour (every event, whatever its confidence), the verdicts
-- on it, and the alerts. Routines, views and thresholds' meaning: docs/drift.md, docs/alerts.md.

-- Written by the refresh beside its cut, taken by floor.roll_up_models. Insert-only: nobody waits.
create table floor.model_touched (
    site_key integer not null,
    hour timestamptz not null
);
comment on table floor.model_touched is 'Hours of which events came, and that model_hourly does not hold yet';
create index on floor.model_touched (site_key, hour);

create table floor.model_hourly (
    site_key integer not null,
    hour timestamptz not null,
    model_key integer not null,
    camera_key integer not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    events integer not null,
    working integer not null,
    idle integer not null,
    absent integer not null,
    units bigint not null,
    confidence_sum double precision not null,
    confidence_squares double precision not null,
    b00 integer not null, b01 integer not null, b02 integer not null, b03 integer not null,
    b04 integer not null, b05 integer not null, b06 integer not null, b07 integer not null,
    b08 integer not null, b09 integer not null, b10 integer not null, b11 integer not null,
    b12 integer not null, b13 integer not null, b14 integer not null, b15 integer not null,
    b16 integer not null, b17 integer not null, b18 integer not null, b19 integer not null,
    primary key (site_key, hour, model_key, camera_key)
);
comment on table floor.model_hourly is 'All events of a site by UTC hour, model and camera; key 0: the event named none';
comment on column floor.model_hourly.first_at is 'Time of the first event; last_at: of the last';
comment on column floor.model_hourly.working is 'Events of that state (not seconds), so idle and absent';
comment on column floor.model_hourly.b00 is 'Events with confidence in [0, 0.05); b19: [0.95, 1]';

-- The same by UTC day, columns in the same order: what windows of weeks are summed from.
create table floor.model_daily (
    like floor.model_hourly including all
);
alter table floor.model_daily rename column hour to day;
comment on table floor.model_daily is 'Sums of model_hourly by UTC day';

-- The last 100 confidences of an hour, oldest first, for hours of the last two days.
create table floor.model_tails (
    site_key integer not null,
    hour timestamptz not null,
    model_key integer not null,
    camera_key integer not null,
    confidences real[] not null,
    primary key (site_key, hour, model_key, camera_key)
);
comment on column floor.model_tails.camera_key is '-1: all cameras of the model together';

-- What a week of a window's baseline is like, learnt once a day (ops.learn_weeks).
create table floor.model_bases (
    site_key integer not null,
    span text not null,
    base_to timestamptz not null,
    primary key (site_key, span)
);
comment on table floor.model_bases is 'Up to when the baseline goes that model_weeks and model_scales tell of';

create table floor.model_weeks (
    site_key integer not null,
    span text not null,
    model_key integer not null,
    camera_key integer not null,
    week_hour integer not null,
    working bigint not null,
    idle bigint not null,
    absent bigint not null,
    units double precision,
    primary key (site_key, span, model_key, camera_key, week_hour)
);
comment on column floor.model_weeks.week_hour is 'Hour of the local week, 0 begins on Monday 00:00';
comment on column floor.model_weeks.units is 'Median of units an hour; null where a shift ran in fewer than 3';

create table floor.model_scales (
    site_key integer not null,
    span text not null,
    model_key integer not null,
    camera_key integer not null,
    first_at timestamptz not null,
    hour_deviation double precision,
    day_deviation double precision,
    day_hours double precision,
    primary key (site_key, span, model_key, camera_key)
);
comment on column floor.model_scales.hour_deviation is 'Standard deviation, by absolute distances, of an hour''s units from the median of its hour of the week';
comment on column floor.model_scales.day_deviation is 'The same of a UTC day''s sum of such distances, over day_hours hours on average';

-- Thresholds of a site. The defaults are the columns' defaults: a site without a row gets one.
create table ops.drift_settings (
    site_key integer primary key references floor.sites,
    confidence_drop double precision not null default 0.15
        check (confidence_drop between 0.01 and 0.9),
    confidence_low double precision not null default 0.75
        check (confidence_low between 0.05 and 0.99),
    confidence_spread double precision not null default 0.20
        check (confidence_spread between 0.02 and 0.5),
    confidence_shape double precision not null default 0.25
        check (confidence_shape between 0.05 and 10),
    rolling_low double precision not null default 0.75
        check (rolling_low between 0.05 and 0.99),
    state_mix double precision not null default 0.25
        check (state_mix between 0.05 and 10),
    rate_shift double precision not null default 4
        check (rate_shift between 2 and 100),
    rate_share double precision not null default 0.10
        check (rate_share between 0 and 1),
    silent_after_s integer not null default 1800
        check (silent_after_s between 60 and 86400),
    parked_share double precision not null default 0.01
        check (parked_share between 0.0001 and 1)
);
comment on table ops.drift_settings is 'Thresholds of a site, see docs/drift.md';

create table ops.drift_checks (
    site_key integer not null references floor.sites,
    signal text not null,
    model_key integer not null,
    camera_key integer not null,
    span text not null,
    verdict text not null check (verdict in ('ok', 'drifting', 'not enough data')),
    current double precision,
    baseline double precision,
    threshold double precision,
    events bigint not null,
    baseline_events bigint not null,
    since timestamptz not null,
    low_since timestamptz,
    checked_now timestamptz not null,
    primary key (site_key, signal, model_key, camera_key, span)
) with (fillfactor = 70);
comment on table ops.drift_checks is 'The last verdict of every signal on every model and camera';
comment on column ops.drift_checks.camera_key is '-1: all cameras of the model together';
comment on column ops.drift_checks.span is 'hour, day or week, or last_100: the current window';
comment on column ops.drift_checks.low_since is 'rolling_low: the first check in a row that found the mean low';

create table ops.drift_changes (
    change_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    signal text not null,
    model_key integer not null,
    camera_key integer not null,
    span text not null,
    was text not null,
    verdict text not null,
    current double precision,
    baseline double precision,
    threshold double precision,
    at timestamptz not null
);
comment on table ops.drift_changes is 'When a verdict became another one, and on what numbers';
create index on ops.drift_changes (site_key, at);

create table ops.drift_state (
    site_key integer primary key references floor.sites,
    checked_now timestamptz not null,
    checked_at timestamptz not null
);
comment on table ops.drift_state is 'Up to when each site was last checked';

create table ops.alerts (
    alert_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    signal text not null,
    subject text not null,
    severity text not null check (severity in ('warning', 'critical')),
    state text not null default 'open'
        check (state in ('open', 'acknowledged', 'snoozed', 'resolved')),
    opened_at timestamptz not null,
    last_bad_at timestamptz not null,
    last_verdict_at timestamptz not null,
    clean_checks integer not null default 0,
    reopened integer not null default 0,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note text,
    snoozed_until timestamptz,
    resolved_at timestamptz,
    detail jsonb not null default '{}',
    check ((state = 'resolved') = (resolved_at is not null)),
    check ((state = 'snoozed') = (snoozed_until is not null))
);
comment on table ops.alerts is 'What is wrong, once: at most one alert of a site, signal and subject is not resolved';
comment on column ops.alerts.reopened is 'How often it came back within a day of being resolved';
create unique index alerts_one_open on ops.alerts (site_key, signal, subject)
    where state <> 'resolved';
create index on ops.alerts (site_key, signal, subject, resolved_at desc);

-- A transition is a row; a sender claims it by one atomic update.
create table ops.alert_events (
    event_key bigint generated always as identity primary key,
    alert_key bigint not null references ops.alerts on delete cascade,
    transition text not null check (transition in
        ('opened', 'reopened', 'acknowledged', 'snoozed', 'woken', 'resolved')),
    at timestamptz not null,
    who text,
    note text,
    detail jsonb not null default '{}',
    claimed_by text,
    claimed_at timestamptz
);
comment on table ops.alert_events is 'Every transition of every alert, and who took it upon himself to tell of it';
create index on ops.alert_events (alert_key);
create index alert_events_unclaimed on ops.alert_events (event_key) where claimed_at is null;

-- What is there already is counted by the first roll-up.
insert into floor.model_touched (site_key, hour)
select distinct e.site_key, date_bin('1 hour', e.time, '2000-01-01 00:00:00+00')
from floor.events e;
