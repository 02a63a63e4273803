-- What people say of events: verdicts with their history, and lines that are none
-- (docs/validations.md). An event never changes, so what it said is kept beside the verdict
-- and outlives it.
create table ops.validations (
    validation_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    worker_key integer not null,
    time timestamptz not null,
    workstation_key integer not null,
    event_type smallint not null check (event_type between 0 and 3),
    model_key integer not null,
    camera_key integer not null,
    confidence real not null,
    verdict text not null check (verdict in ('right', 'wrong')),
    right_label text
        check (right_label in ('working', 'idle', 'absent', 'product_count', 'nothing')),
    validated_by text not null,
    validated_at timestamptz not null,
    note text,
    stands boolean not null default false,
    source text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    check (verdict = 'wrong' or right_label is null)
);
comment on table ops.validations is 'What people said of events; of several verdicts on one event the last one said stands';
comment on column ops.validations.model_key is 'Of the event, 0: it named none; so camera_key';
comment on column ops.validations.stands is 'No later verdict on the same event supersedes it';
create unique index validations_one_stands
    on ops.validations (site_key, worker_key, time, workstation_key, event_type) where stands;
create index on ops.validations (site_key, time);
create index on ops.validations (site_key, model_key, validated_at) where stands;

create table ops.validations_parked (
    parked_key bigint generated always as identity primary key,
    code text not null,
    message text not null,
    raw bytea not null,
    raw_sha256 bytea not null,
    fields bytea,
    source text not null,
    line bigint,
    site_id text,
    said_by text not null,
    seen integer not null default 1,
    received_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    state text not null default 'parked' check (state in ('parked', 'retried')),
    state_at timestamptz,
    state_by text,
    unique (raw_sha256, code, source)
);
comment on table ops.validations_parked is 'Verdicts that could not be taken, as they came; the same bytes sent again are counted in seen';
comment on column ops.validations_parked.fields is 'JSON of the fields that were read, to be tried again; null where the line could not be read';
comment on column ops.validations_parked.said_by is 'Who says it, where the line does not';

-- Keys of the HTTP API may be for this, too.
alter table ingest.api_keys drop constraint api_keys_allows_check;
alter table ingest.api_keys add constraint api_keys_allows_check
    check (cardinality(allows) > 0
           and allows <@ array['ingest', 'files', 'read', 'rejects', 'validate']);
