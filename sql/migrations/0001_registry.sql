-- Who and where: the installation, sites with their versioned settings, workers,
-- workstations, models, cameras, and the calendar. Facts follow in 0002.
create schema if not exists floor;
create schema ingest;
create schema analytics;
create schema ops;

comment on schema floor is 'Facts and their registry; read by no one but the routines of floorpulse';
comment on schema ingest is 'What came in and what was parked on the way';
comment on schema analytics is 'The contract with people: views and functions, nothing else';
comment on schema ops is 'How the system itself is doing';

-- One row, written at the first migrate. Both switches are fixed from then on.
create table floor.installation (
    one_row boolean primary key default true check (one_row),
    hypertables boolean not null,
    continuous_aggregates boolean not null,
    strict_sites boolean not null default false,
    created_at timestamptz not null default now(),
    check (hypertables or not continuous_aggregates)
);
comment on table floor.installation is 'Which engine was found at the first migrate, and whether unknown sites are refused';

create table floor.sites (
    site_key integer generated always as identity primary key,
    site_id text not null unique,
    name text,
    discovered boolean not null default false,
    registration text not null default 'open' check (registration in ('open', 'strict')),
    retention_days integer check (retention_days > 0),
    created_at timestamptz not null default now()
);
comment on column floor.sites.discovered is 'Registered on sight by an event, not by a person';

create table floor.workers (
    worker_key integer generated always as identity primary key,
    site_key integer not null references floor.sites,
    worker_id text not null,
    name text,
    pseudonym text,
    discovered boolean not null default false,
    created_at timestamptz not null default now(),
    unique (site_key, worker_id)
);

create table floor.workstations (
    workstation_key integer generated always as identity primary key,
    site_key integer not null references floor.sites,
    workstation_id text not null,
    name text,
    discovered boolean not null default false,
    created_at timestamptz not null default now(),
    unique (site_key, workstation_id)
);

create table floor.models (
    model_key integer generated always as identity primary key,
    site_key integer not null references floor.sites,
    model_version text not null,
    created_at timestamptz not null default now(),
    unique (site_key, model_version)
);

create table floor.cameras (
    camera_key integer generated always as identity primary key,
    site_key integer not null references floor.sites,
    camera_id text not null,
    created_at timestamptz not null default now(),
    unique (site_key, camera_id)
);

-- A row says: from valid_from on, these fields hold (null: not said here). For an instant
-- and a field, the row recorded last among those with valid_from <= instant decides.
create table floor.site_settings (
    setting_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    valid_from timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    timezone text,
    min_confidence real check (min_confidence between 0 and 1),
    max_state_s integer check (max_state_s between 1 and 86400),
    gap_state text check (gap_state in ('none', 'idle')),
    count_breaks boolean
);
create index on floor.site_settings (site_key, valid_from);

-- The same, laid flat: spans that do not overlap and leave no gap. Made by floor.lay_settings.
create table floor.settings_spans (
    site_key integer not null references floor.sites,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    timezone text not null,
    min_confidence real not null,
    max_state_s integer not null,
    gap_state text not null,
    count_breaks boolean not null,
    primary key (site_key, valid_from),
    check (valid_from < valid_to)
);

create table floor.shifts (
    shift_key integer generated always as identity primary key,
    site_key integer not null references floor.sites,
    name text not null check (length(name) between 1 and 64),
    unique (site_key, name)
);
comment on table floor.shifts is 'The name of a shift; facts carry shift_key, 0 outside shifts, -1 where no shift was in force at all';

create table floor.shift_versions (
    version_key integer generated always as identity primary key,
    shift_key integer not null references floor.shifts,
    site_key integer not null references floor.sites,
    weekdays smallint[] not null check (cardinality(weekdays) between 1 and 7 and weekdays <@ '{0,1,2,3,4,5,6}'),
    start_local time not null,
    length_min integer not null check (length_min between 1 and 1440),
    valid_from timestamptz not null,
    valid_to timestamptz not null default 'infinity',
    recorded_at timestamptz not null default clock_timestamp(),
    superseded_at timestamptz,
    check (valid_from < valid_to)
);
comment on column floor.shift_versions.weekdays is 'Days on which the shift starts, 0 is Monday';
comment on column floor.shift_versions.superseded_at is 'When a later statement replaced this row; null: still held to be true';
create index on floor.shift_versions (site_key);

create table floor.breaks (
    version_key integer not null references floor.shift_versions on delete cascade,
    start_local time not null,
    length_min integer not null check (length_min between 1 and 1440),
    primary key (version_key, start_local)
);

-- The week as minutes from Monday 00:00 (a shift over Sunday midnight is two rows):
-- here the database refuses shifts of one site that overlap. Only versions not superseded.
create table floor.shift_week (
    version_key integer not null references floor.shift_versions on delete cascade,
    site_key integer not null,
    week_minutes int4range not null,
    valid tstzrange not null,
    constraint shifts_do_not_overlap exclude using gist (
        int4range(site_key, site_key, '[]') with &&, week_minutes with &&, valid with &&)
);

create table floor.shift_instances (
    site_key integer not null references floor.sites,
    shift_key integer not null references floor.shifts,
    version_key integer not null references floor.shift_versions,
    production_date date not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    check (starts_at < ends_at),
    constraint shift_instances_do_not_overlap exclude using gist (
        int4range(site_key, site_key, '[]') with &&, tstzrange(starts_at, ends_at) with &&)
);
create index on floor.shift_instances (site_key, starts_at);

-- One row per site, UTC hour and calendar boundary in it: cutting is a hash join on (site, hour).
create table floor.calendar_slices (
    site_key integer not null references floor.sites,
    hour timestamptz not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    production_date date not null,
    shift_key integer not null,
    in_break boolean not null,
    shift_ends_at timestamptz,
    primary key (site_key, hour, starts_at),
    check (hour <= starts_at and starts_at < ends_at and ends_at <= hour + interval '1 hour')
);
comment on column floor.calendar_slices.shift_key is '0 outside shifts, -1 where no shift is in force (scheduled around the clock)';
comment on column floor.calendar_slices.in_break is 'In a break that the site does not count';
comment on column floor.calendar_slices.shift_ends_at is 'End of the shift instance that the slice lies in';
create index on floor.calendar_slices (site_key, production_date);

create table floor.calendar_coverage (
    site_key integer primary key references floor.sites,
    covered_from timestamptz not null,
    covered_to timestamptz not null,
    check (covered_from < covered_to)
);
comment on table floor.calendar_coverage is 'The range, whole UTC hours, for which calendar slices stand';
