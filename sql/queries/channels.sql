-- name: add --
-- A new channel; the name is free again once the channel that had it is removed.
insert into ops.channels
    (name, url_env, url_file, sites, severity, transitions, digest, pierce, enabled, created_by)
values
    (%(name)s, %(url_env)s, %(url_file)s, %(sites)s, %(severity)s, %(transitions)s, %(digest)s,
     %(pierce)s, %(enabled)s, %(who)s)
returning channel_key

-- name: change --
-- New terms; a channel that failed is tried again at once.
update ops.channels
set url_env = %(url_env)s, url_file = %(url_file)s, sites = %(sites)s, severity = %(severity)s,
    transitions = %(transitions)s, digest = %(digest)s, pierce = %(pierce)s,
    enabled = %(enabled)s, failures = 0, retry_at = null
where channel_key = %(channel_key)s

-- name: remove --
-- Ends a channel; what it was still to be told is dropped.
with gone as (
    update ops.channels c
    set removed_at = clock_timestamp(), removed_by = %(who)s
    where c.name = %(name)s and c.removed_at is null
    returning c.channel_key
),
dropped as (
    update ops.outbox m
    set state = 'dropped', settled_at = clock_timestamp(), error = 'the channel was removed'
    from gone g
    where m.channel_key = g.channel_key and m.state = 'waiting'
    returning 1
)
select g.channel_key, (select count(*) from dropped) as dropped from gone g

-- name: forget_quiet --
-- All quiet hours of a channel.
delete from ops.channel_quiet where channel_key = %(channel_key)s

-- name: add_quiet --
-- Quiet hours of a channel.
insert into ops.channel_quiet (channel_key, weekdays, start_local, length_min)
values (%(channel_key)s, %(weekdays)s, %(start_local)s, %(length_min)s)
on conflict (channel_key, weekdays, start_local) do update
set length_min = greatest(excluded.length_min, channel_quiet.length_min)

-- name: list --
-- Channels (null: all; else the one of that name), and how they do.
select c.channel_key, c.name, c.url_env, c.url_file, c.sites, c.severity, c.transitions,
    c.digest, c.pierce, c.enabled,
    case
        when not c.enabled then 'off'
        when c.failures > 0 then 'failing'
        else 'ok'
    end as channel_state,
    coalesce((
        select jsonb_agg(jsonb_build_object(
            'weekdays', q.weekdays, 'start', to_char(q.start_local, 'HH24:MI'),
            'length_min', q.length_min) order by q.weekdays, q.start_local)
        from ops.channel_quiet q
        where q.channel_key = c.channel_key), '[]') as quiet,
    (select count(*) from ops.outbox m
     where m.channel_key = c.channel_key and m.state = 'waiting') as waiting,
    (select count(*) from ops.outbox m
     where m.channel_key = c.channel_key and m.state = 'failed') as given_up,
    c.last_delivered_at, c.failures, c.retry_at,
    case when c.failures > 0 then c.last_error end as last_error
from ops.channels c
where c.removed_at is null and (%(name)s::text is null or c.name = %(name)s)
order by c.name

-- name: unknown_sites --
-- Which of these sites there are not.
select u.site_id
from unnest(%(sites)s::text[]) as u (site_id)
where not exists (select from floor.sites s where s.site_id = u.site_id)

-- name: outbox --
-- Messages, what waits first, then the newest.
select n.message_id, n.channel, n.site_id, n.alert_id, n.transition, n.severity,
    n.message_state, n.queued_at, n.attempts, n.last_tried_at, n.settled_at, n.message_error
from analytics.notifications n
where (%(channel)s::text is null or n.channel = %(channel)s)
  and (%(state)s::text is null or n.message_state = %(state)s)
order by n.message_state <> 'waiting', n.message_id desc
limit %(limit)s

-- name: send_again --
-- What was given up, and what waits for its next try, of a channel (null: all) goes at once.
with again as (
    update ops.outbox m
    set state = 'waiting', settled_at = null, attempts = 0, first_tried_at = null,
        queued_at = clock_timestamp()
    from ops.channels c
    where c.channel_key = m.channel_key and c.removed_at is null
      and (%(channel)s::text is null or c.name = %(channel)s)
      and (m.state = 'failed' or m.state = 'waiting' and m.attempts > 0)
    returning m.channel_key
),
at_once as (
    update ops.channels c
    set failures = 0, retry_at = null
    where c.channel_key in (select a.channel_key from again a)
)
select count(*) from again

-- name: claim --
-- One channel's next messages, for one sender.
select c.channel_key, c.name, c.url_env, c.url_file, c.messages
from ops.claim_messages(%(by)s, %(lease_s)s * interval '1 second') c

-- name: delivered --
-- They were told.
select ops.messages_delivered(%(channel_key)s, %(by)s, %(messages)s)

-- name: failed --
-- They were not.
select ops.messages_failed(%(channel_key)s, %(by)s, %(messages)s, %(error)s)

-- name: release --
-- Nobody knows: whoever asks next tells them.
select ops.release_messages(%(channel_key)s, %(by)s, %(messages)s)

-- name: prepare --
-- Digests of shifts that have ended; and what is told no more. How many of each.
select ops.queue_digests(clock_timestamp()), ops.give_up_messages(clock_timestamp())

-- name: prune --
-- How many settled messages went.
select ops.prune_outbox(clock_timestamp())

-- name: waiting --
-- How many messages wait.
select count(*) from ops.outbox m where m.state = 'waiting'

-- name: contents --
-- What messages are about, the oldest first.
select m.message_key, m.severity, m.digest_shift, m.digest_from, m.digest_to, s.site_key,
    s.site_id, coalesce(s.name, s.site_id) as site_name, z.timezone,
    e.transition, e.at, e.who, e.note, e.detail,
    a.alert_key as alert_id, a.signal, a.subject, a.state as alert_state, a.opened_at,
    a.resolved_at, a.acknowledged_by
from ops.outbox m
join floor.sites s on s.site_key = m.site_key
cross join lateral (
    select coalesce((
        select v.timezone from floor.settings_spans v
        where v.site_key = m.site_key and v.valid_from <= now() and v.valid_to > now()),
        'UTC') as timezone
) z
left join ops.alert_events e on e.event_key = m.event_key
left join ops.alerts a on a.alert_key = e.alert_key
where m.message_key = any (%(messages)s)
order by m.message_key

-- name: digest --
-- Alerts of a site that were open in a window.
select a.alert_key as alert_id, a.signal, a.subject, a.severity, a.state as alert_state,
    a.opened_at, a.resolved_at, a.acknowledged_by, a.note, a.snoozed_until, a.detail,
    exists (select from ops.alert_events e
            where e.alert_key = a.alert_key and e.transition in ('opened', 'reopened')
              and e.at >= %(from)s and e.at < %(to)s) as is_new
from ops.alerts_between(%(site_key)s, %(from)s, %(to)s) a
order by a.severity, a.opened_at, a.alert_key

-- name: counts --
-- What came in during a window of whole hours of arrival, and what of it was parked.
select coalesce(sum(t.stored), 0)::bigint as stored, coalesce(sum(t.parked), 0)::bigint as parked
from ingest.tallies t
join floor.sites s on s.site_id = t.site_id
where s.site_key = %(site_key)s and t.hour >= date_trunc('hour', %(from)s::timestamptz)
  and t.hour < %(to)s
