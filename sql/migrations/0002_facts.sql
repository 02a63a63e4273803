-- What happened (events) and what it meant (activity), and the marks that lead from one
-- to the other. Tables partition natively, or become hypertables where TimescaleDB is.
do $$
declare
    hypertables boolean := (select i.hypertables from floor.installation i);
    partitioning text := case when hypertables then '' else ' partition by range (time)' end;
begin
    execute $ddl$
        create table floor.events (
            site_key integer not null,
            worker_key integer not null,
            time timestamptz not null,
            ingested_at timestamptz not null default now(),
            duration_s double precision
                check (duration_s is null
                       or (duration_s > 0 and duration_s <= 86400 and event_type < 3)),
            workstation_key integer not null,
            confidence real not null check (confidence between 0 and 1),
            count integer not null default 0
                check (case when event_type = 3 then count between 1 and 1000000 else count = 0 end),
            model_key integer,
            camera_key integer,
            event_type smallint not null check (event_type between 0 and 3),
            constraint events_identity
                unique (site_key, worker_key, time, workstation_key, event_type)
        )$ddl$ || partitioning;

    execute $ddl$
        create table floor.activity (
            site_key integer not null,
            worker_key integer not null,
            time timestamptz not null,
            ends_at timestamptz not null,
            state_at timestamptz not null,
            duration_us bigint not null,
            workstation_key integer not null,
            shift_key integer not null,
            production_date date not null,
            units integer not null,
            units_working integer not null,
            state smallint not null,
            begins smallint not null,
            in_break boolean not null
        )$ddl$ || partitioning;
    create index activity_worker_time on floor.activity (site_key, worker_key, time);

    if hypertables then
        perform create_hypertable('floor.events', by_range('time', interval '1 day'),
                                  create_default_indexes => false);
        perform create_hypertable('floor.activity', by_range('time', interval '1 day'),
                                  create_default_indexes => false);
    end if;
end
$$;

comment on table floor.events is 'Every admitted event, once; unique by identity';
comment on column floor.events.event_type is '0 working, 1 idle, 2 absent, 3 product_count';
comment on column floor.events.duration_s is 'The state ends by then at the latest; null: the silence cap holds';
comment on table floor.activity is 'State pieces, half-open, cut at UTC hours and calendar boundaries; product counts are rows of zero length';
comment on column floor.activity.state_at is 'Time of the state (or count) event the piece belongs to';
comment on column floor.activity.state is '0 working, 1 idle, 2 absent, 3 product count';
comment on column floor.activity.begins is '1 on the first piece of a state event, else 0';

-- Written by the door, taken by the refresh. events: how many rows stand behind the range.
create table floor.dirty (
    site_key integer not null,
    worker_key integer not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    events integer not null default 1,
    check (from_time <= to_time)
);
comment on table floor.dirty is 'Who was touched and when, bounds included; taken by the next refresh';
create index on floor.dirty (site_key, from_time);

-- The last gated state of each worker at the last cut: where an open tail hangs, and what
-- spares a live refresh every index probe into history.
create table floor.worker_states (
    site_key integer not null,
    worker_key integer not null,
    state_at timestamptz not null,
    holds_until timestamptz not null,
    workstation_key integer not null,
    state smallint not null,
    confidence real not null,
    primary key (site_key, worker_key)
) with (fillfactor = 70);

create table floor.touched (
    touched_key bigint generated always as identity primary key,
    site_key integer not null,
    hour timestamptz not null,
    worker_key integer not null
);
comment on table floor.touched is 'Hours cut again and not yet aggregated again';
create index on floor.touched (site_key, touched_key);

-- A changed setting or shift: everything in [from_time, to_time) is cut again, newest first,
-- in bounded steps. done_from moves back from to_time to from_time.
create table floor.restatements (
    restatement_key bigint generated always as identity primary key,
    site_key integer not null references floor.sites,
    from_time timestamptz not null,
    to_time timestamptz not null,
    done_from timestamptz not null,
    reason text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
create index on floor.restatements (site_key) where finished_at is null;

create table floor.refresh_state (
    site_key integer primary key references floor.sites,
    cut_now timestamptz,
    aggregated_now timestamptz,
    cut_at timestamptz,
    aggregated_at timestamptz,
    first_event_at timestamptz
);
comment on column floor.refresh_state.cut_now is 'The instant at which running states were last clipped';
comment on column floor.refresh_state.aggregated_now is 'Now in every metric: moves when the aggregates are done';
