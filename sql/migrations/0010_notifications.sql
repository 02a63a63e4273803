-- Who is told of alerts, and what is still to be said: docs/notifications.md. Routines:
-- sql/routines/alert_outbox.sql.

create table ops.channels (
    channel_key integer generated always as identity primary key,
    name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
    url_env text,
    url_file text,
    sites text[] check (cardinality(sites) > 0),
    severity text not null check (severity in ('warning', 'critical', 'none')),
    transitions text[] not null
        check (cardinality(transitions) > 0
               and transitions <@ array['opened', 'reopened', 'acknowledged', 'snoozed', 'woken',
                                        'resolved']),
    digest text not null check (digest in ('never', 'news', 'always')),
    pierce text not null check (pierce in ('critical', 'none')),
    enabled boolean not null default true,
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null,
    removed_at timestamptz,
    removed_by text,
    failures integer not null default 0,
    retry_at timestamptz,
    claimed_by text,
    claimed_until timestamptz,
    last_delivered_at timestamptz,
    last_error text,
    last_error_at timestamptz,
    check (num_nonnulls(url_env, url_file) = 1)
);
create unique index channels_name on ops.channels (name) where removed_at is null;
comment on table ops.channels is 'Who is told of alerts, and how that goes; removed channels stay, for the record';
comment on column ops.channels.url_env is 'Environment variable that holds the Apprise URL; the URL itself is a secret and never here';
comment on column ops.channels.url_file is 'File that holds it, where no variable does';
comment on column ops.channels.sites is 'Sites it tells of; null: all';
comment on column ops.channels.severity is 'The least that is told; none: digests only';
comment on column ops.channels.digest is 'At the end of every shift: never, when there is news, or always';
comment on column ops.channels.pierce is 'What is told in quiet hours too';
comment on column ops.channels.failures is 'How often in a row it failed';
comment on column ops.channels.claimed_by is 'The sender that is at it; after claimed_until it is taken for dead';

create table ops.channel_quiet (
    channel_key integer not null references ops.channels on delete cascade,
    weekdays smallint[] not null
        check (cardinality(weekdays) between 1 and 7 and weekdays <@ '{0,1,2,3,4,5,6}'),
    start_local time not null,
    length_min integer not null check (length_min between 1 and 1440),
    primary key (channel_key, weekdays, start_local)
);
comment on table ops.channel_quiet is 'Quiet hours of a channel, by the wall clock of the site a message is about';
comment on column ops.channel_quiet.weekdays is 'Days on which they begin, 0 is Monday';

create table ops.outbox (
    message_key bigint generated always as identity primary key,
    channel_key integer not null references ops.channels,
    site_key integer not null references floor.sites,
    event_key bigint references ops.alert_events on delete cascade,
    severity text not null check (severity in ('warning', 'critical', 'digest')),
    digest_shift text,
    digest_from timestamptz,
    digest_to timestamptz,
    queued_at timestamptz not null default clock_timestamp(),
    state text not null default 'waiting'
        check (state in ('waiting', 'delivered', 'failed', 'dropped')),
    attempts integer not null default 0,
    first_tried_at timestamptz,
    last_tried_at timestamptz,
    settled_at timestamptz,
    error text,
    check ((severity = 'digest') = (event_key is null)),
    check ((severity = 'digest') = (digest_to is not null)),
    check ((state = 'waiting') = (settled_at is null)),
    unique (event_key, channel_key),
    unique (channel_key, site_key, digest_to)
);
comment on table ops.outbox is 'What channels are to be told: written in the transaction of the alert''s transition, settled once it was told';
comment on column ops.outbox.severity is 'Of the alert as it was then; digest: a shift''s summary';
comment on column ops.outbox.state is 'failed: given up; dropped: a later word on the same alert was told, or the channel was removed';
create index outbox_waiting on ops.outbox (channel_key, message_key) where state = 'waiting';
create index outbox_settled on ops.outbox (settled_at) where state <> 'waiting';
