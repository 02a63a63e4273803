-- What a person says of a camera, and what its record of 30 days says: when its silence is an
-- alert (docs/alerts.md).
alter table floor.cameras
    add column expected text not null default 'learned'
        check (expected in ('always', 'learned', 'never')),
    add column expected_at timestamptz,
    add column expected_by text;
comment on column floor.cameras.expected is 'When it is to send: always during shifts, as learned from its record, or never';
comment on column floor.cameras.expected_at is 'When a person said so last';
comment on column floor.cameras.expected_by is 'Who said so';

create table floor.camera_silences (
    site_key integer not null references floor.sites,
    camera_key integer not null references floor.cameras,
    learnt_to timestamptz not null,
    usual double precision[] not null check (cardinality(usual) = 24),
    longest_s double precision not null,
    missed_s double precision not null,
    shift_keys integer[] not null,
    stopped_s double precision[] not null check (cardinality(stopped_s) = cardinality(shift_keys)),
    primary key (site_key, camera_key)
);
comment on table floor.camera_silences is 'How silent a camera was in the 30 days before learnt_to, learnt once a day (ops.learn_silences)';
comment on column floor.camera_silences.usual is 'Share of the days on which it sent in that UTC hour of the day, of those with shift time in which the site sent';
comment on column floor.camera_silences.longest_s is 'The most usual time that it missed in a row: shift time less breaks, each hour by its share in usual';
comment on column floor.camera_silences.missed_s is 'The second most: one outage does not count';
comment on column floor.camera_silences.shift_keys is 'Shifts in which it sent';
comment on column floor.camera_silences.stopped_s is 'For each of them: the longest shift time but one, breaks left out, for which it fell silent after it had sent in that shift';
