-- From when on the events of a site are kept, and how far what is older has been deleted.
create table floor.retention (
    site_key integer primary key references floor.sites,
    kept_from timestamptz not null check (kept_from = date_trunc('day', kept_from, 'UTC')),
    pieces_to timestamptz not null default '-infinity',
    events_to timestamptz not null default '-infinity',
    moved_at timestamptz not null default clock_timestamp()
);
comment on table floor.retention is 'Sites of which events were deleted; no row: every event is kept';
comment on column floor.retention.kept_from is 'Hours before it stay as they are: nothing is cut, counted or judged again there; a UTC midnight that never goes back';
comment on column floor.retention.pieces_to is 'Pieces before it are gone';
comment on column floor.retention.events_to is 'Events before it are gone';

-- What was set while nothing was deleted has a day, like any setting, to be taken back.
alter table floor.sites add column retention_set_at timestamptz;
comment on column floor.sites.retention_set_at is 'When retention_days last changed: it is acted upon a day later';
update floor.sites set retention_set_at = clock_timestamp() where retention_days is not null;
