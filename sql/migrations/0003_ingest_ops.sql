-- The ledger of what came in, what was parked, and how the system's own jobs ran.
create table ingest.loads (
    load_id bigint generated always as identity primary key,
    source text not null,
    site_id text,
    options text not null default '',
    head_digest bytea,
    prefix_digest bytea,
    bytes_done bigint not null default 0,
    lines_done bigint not null default 0,
    site_done text,
    block_end bigint,
    block_digest bytea,
    read bigint not null default 0,
    stored bigint not null default 0,
    duplicates bigint not null default 0,
    conflicts bigint not null default 0,
    parked bigint not null default 0,
    parked_codes jsonb not null default '{}',
    state text not null default 'running' check (state in ('running', 'done', 'failed')),
    error text,
    started_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    check (read = stored + duplicates + parked)
);
comment on table ingest.loads is 'One row per file or stream: counts, and how far it is (resume point)';
comment on column ingest.loads.head_digest is 'sha256 of the first 64 kB of content: finds a candidate to resume';
comment on column ingest.loads.prefix_digest is 'sha256 of the bytes_done bytes of content that are committed: proves it';
comment on column ingest.loads.site_done is 'Of the block after bytes_done, sites up to this one (byte order) are committed too';
comment on column ingest.loads.block_digest is 'sha256 of the content up to block_end, the end of that block: proves it';
create index on ingest.loads (head_digest) where state <> 'done';

create table ingest.rejects (
    reject_id bigint generated always as identity primary key,
    code text not null,
    message text not null,
    raw bytea not null,
    raw_sha256 bytea not null,
    source text not null,
    line bigint,
    site_id text,
    load_id bigint references ingest.loads,
    seen integer not null default 1,
    received_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    state text not null default 'parked' check (state in ('parked', 'retried', 'dismissed')),
    state_at timestamptz,
    state_by text,
    unique (raw_sha256, code, source)
);
comment on table ingest.rejects is 'Events that broke a rule, as they came; the same bytes sent again are counted in seen';
create index on ingest.rejects (received_at);

-- One row per admitted batch and site, insert-only so that writers never wait for each other;
-- the scheduler folds them by hour.
create table ingest.tallies (
    site_id text not null,
    hour timestamptz not null,
    stored bigint not null,
    duplicates bigint not null,
    conflicts bigint not null,
    parked bigint not null,
    late bigint not null,
    latency_histogram bigint[] not null default '{}',
    unzoned bigint not null default 0,
    recorded_at timestamptz not null default now()
);
comment on column ingest.tallies.hour is 'UTC hour of arrival';
comment on column ingest.tallies.late is 'Stored events that arrived more than 5 minutes after they happened';
comment on column ingest.tallies.latency_histogram is 'Stored events by latency: bin i holds [2^(i-1), 2^i) ms, bin 0 below 1 ms';
comment on column ingest.tallies.unzoned is 'Events read whose time had no offset while nobody had set the zone of the site';
create index on ingest.tallies (hour);
create index on ingest.tallies (site_id, recorded_at);

create table ops.jobs (
    job text primary key,
    interval_s double precision not null,
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_ok_at timestamptz,
    last_error text
);
comment on table ops.jobs is 'What the scheduler runs, how often, and when it last ended well';

create table ops.job_runs (
    run_id bigint generated always as identity primary key,
    job text not null,
    site_id text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    ok boolean,
    error text,
    detail jsonb not null default '{}'
);
create index on ops.job_runs (started_at);
create index on ops.job_runs (job, started_at);

create table ops.audit_log (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    who text not null default session_user,
    action text not null,
    subject text not null,
    detail jsonb not null default '{}'
);
