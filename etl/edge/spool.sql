-- The spool of an edge agent (SQLite). One process writes it; `status` reads along.
pragma user_version = 1;

-- A span of time in which the wall clock ran even with the clock since boot.
-- offset_us: wall minus boot; shift_us: what to add to be right, null until a server
-- has been asked, then fixed for ever: an event sent twice must be the same event.
create table clocks (
    epoch integer primary key autoincrement,
    boot text not null,
    offset_us integer not null,
    shift_us integer
);

-- What waits for the server, in the order it came.
-- rank: what goes first when there is no room: 0 no event, 1 a state, 2 a product count.
create table events (
    id integer primary key autoincrement,
    rank integer not null,
    epoch integer not null,
    arrived_us integer not null,
    body blob not null
);
create index events_by_rank on events (rank, id);

-- What the server refuses for a reason of its own, alone and for good.
create table refused (
    id integer primary key autoincrement,
    at_us integer not null,
    status integer not null,
    message text not null,
    rank integer not null,
    epoch integer not null,
    arrived_us integer not null,
    body blob not null
);

-- How far files of a folder are read: known by their inode and first bytes.
create table files (
    inode text primary key,
    path text not null,
    head blob not null,
    done integer not null
);

create table counters (
    name text primary key,
    value integer not null
) without rowid;

create table notes (
    name text primary key,
    value text not null
) without rowid;
