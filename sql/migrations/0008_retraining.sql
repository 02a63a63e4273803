-- Retraining: who asked for it and on what evidence, what became of it step by step, what was
-- exported, and who has been told (docs/retraining.md).
create table ops.retraining_requests (
    request_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    model_key integer not null,
    state text not null default 'requested' check (state in
        ('requested', 'approved', 'exported', 'trained', 'deployed', 'rejected')),
    reason text not null check (reason in ('confidence', 'accuracy', 'person')),
    requested_at timestamptz not null,
    requested_by text,
    state_at timestamptz not null,
    evidence jsonb not null default '{}',
    check (reason <> 'person' or requested_by is not null)
);
comment on table ops.retraining_requests is 'One row per request to train a model anew; at most one of a site and model is open';
comment on column ops.retraining_requests.model_key is '0: events that name no version';
comment on column ops.retraining_requests.requested_by is 'Null: the signals';
create unique index retraining_one_open on ops.retraining_requests (site_key, model_key)
    where state not in ('deployed', 'rejected');

create table ops.retraining_steps (
    step_key bigint generated always as identity primary key,
    request_key bigint not null references ops.retraining_requests,
    was text,
    state text not null,
    at timestamptz not null,
    who text,
    note text,
    detail jsonb not null default '{}'
);
comment on table ops.retraining_steps is 'Every state a request came into: when, by whom, with what note';
create index on ops.retraining_steps (request_key);

create table ops.retraining_exports (
    export_key bigint generated always as identity primary key,
    request_key bigint not null references ops.retraining_requests,
    folder text not null,
    manifest text not null,
    manifest_sha256 text not null,
    delivery_id uuid not null default gen_random_uuid(),
    exported_at timestamptz not null
);
comment on table ops.retraining_exports is 'What was written for a trainer: the folder, and its manifest as it stands in the file';
create index on ops.retraining_exports (request_key);

-- Whom to tell of an export: at least once, until it worked or was given up.
create table ops.retraining_calls (
    call_key bigint generated always as identity primary key,
    export_key bigint not null references ops.retraining_exports,
    target text not null check (target in ('webhook', 'mlflow')),
    attempts integer not null default 0,
    next_at timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    gave_up_at timestamptz,
    answer text,
    last_error text,
    unique (export_key, target),
    check (delivered_at is null or gave_up_at is null)
);
comment on table ops.retraining_calls is 'Outbox of exports: the webhook that starts a pipeline, and MLflow';
create index retraining_calls_due on ops.retraining_calls (next_at)
    where delivered_at is null and gave_up_at is null;

alter table ops.drift_settings
    add column retrain_after_h integer not null default 48
        check (retrain_after_h between 1 and 720),
    add column accuracy_low double precision not null default 0.85
        check (accuracy_low between 0.05 and 0.999),
    add column accuracy_events integer not null default 50
        check (accuracy_events between 5 and 100000);
