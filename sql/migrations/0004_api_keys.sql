-- Keys of the HTTP API: what is stored can check a key, and cannot be used as one.
create table ingest.api_keys (
    key_id text primary key,
    name text not null,
    secret_sha256 bytea not null check (length(secret_sha256) = 32),
    allows text[] not null
        check (cardinality(allows) > 0
               and allows <@ array['ingest', 'files', 'read', 'rejects']),
    sites text[] check (cardinality(sites) > 0),
    event_types text[]
        check (cardinality(event_types) > 0
               and event_types <@ array['working', 'idle', 'absent', 'product_count']),
    camera_group text,
    events_per_s double precision not null check (events_per_s > 0),
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text
);
create unique index api_keys_name on ingest.api_keys (name) where revoked_at is null;
comment on table ingest.api_keys is 'Who may send and read over HTTP; revoked keys stay, for the record';
comment on column ingest.api_keys.secret_sha256 is 'sha256 of the secret: 256 random bits, that nobody can guess from their digest';
comment on column ingest.api_keys.sites is 'Sites the key may speak of; null: all';
comment on column ingest.api_keys.event_types is 'Event types it may send; null: all';
comment on column ingest.api_keys.camera_group is 'A label for people: whose cameras send with it';
