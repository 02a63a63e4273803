-- The outbox: what each channel is to be told, claimed by one sender at a time and settled
-- when it was told (docs/notifications.md).

create or replace function ops.channels_of(p_site_key integer)
returns setof ops.channels
language sql stable
set search_path = ops, pg_temp
as $$
-- Who is told of a site.
    select c.*
    from ops.channels c
    join floor.sites s on s.site_key = p_site_key
    where c.enabled and c.removed_at is null
      and (c.sites is null or s.site_id = any (c.sites))
$$;

create or replace function ops.queue_messages(p_event_key bigint)
returns void
language sql
set search_path = ops, pg_temp
as $$
-- A transition becomes a message for every channel that is to hear of it. What a check of
-- the past finds is on record and tells nobody.
    insert into ops.outbox (channel_key, site_key, event_key, severity)
    select c.channel_key, a.site_key, e.event_key, a.severity
    from ops.alert_events e
    join ops.alerts a on a.alert_key = e.alert_key
    cross join lateral ops.channels_of(a.site_key) c
    where e.transition = any (c.transitions) and c.severity in ('warning', a.severity)
      and e.event_key = p_event_key and e.at > clock_timestamp() - interval '1 day'
    on conflict do nothing
$$;

create or replace function ops.alerts_between(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns setof ops.alerts
language sql stable
set search_path = ops, pg_temp
as $$
-- What a digest tells of: alerts of a site that were open at some time of a window.
    select a.*
    from ops.alerts a
    where a.site_key = p_site_key and a.opened_at < p_to
      and (a.resolved_at is null or a.resolved_at >= p_from)
$$;

create or replace function ops.queue_digests(p_now timestamptz)
returns integer
language sql
set search_path = ops, pg_temp
as $$
-- A digest of every shift that ended in the last two hours, for channels that want one; it
-- begins where the shift before ended. How many were queued.
    with ended as (
        select i.site_key, i.starts_at, i.ends_at, h.name as shift,
            (select max(b.ends_at) from floor.shift_instances b
             where b.site_key = i.site_key and b.starts_at < i.starts_at
               and b.starts_at > i.starts_at - interval '8 days') as before_at
        from floor.shift_instances i
        join floor.shifts h on h.shift_key = i.shift_key
        where i.starts_at > p_now - interval '27 hours'
          and i.ends_at > p_now - interval '2 hours' and i.ends_at <= p_now
    ),
    queued as (
        insert into ops.outbox
            (channel_key, site_key, severity, digest_shift, digest_from, digest_to)
        select c.channel_key, d.site_key, 'digest', d.shift, coalesce(d.before_at, d.starts_at),
            d.ends_at
        from ended d
        cross join lateral ops.channels_of(d.site_key) c
        where c.created_at < d.ends_at
          and (c.digest = 'always'
               or c.digest = 'news' and exists (
                   select from ops.alerts_between(
                       d.site_key, coalesce(d.before_at, d.starts_at), d.ends_at)))
        on conflict do nothing
        returning 1
    )
    select count(*)::integer from queued
$$;

create or replace function ops.is_quiet(
    p_channel_key integer, p_site_key integer, p_now timestamptz)
returns boolean
language sql stable
set search_path = ops, pg_temp
as $$
-- Whether the site's wall clock stands in quiet hours of the channel.
    select exists (
        select from ops.channel_quiet q
        cross join (
            select p_now at time zone coalesce((
                select v.timezone from floor.settings_spans v
                where v.site_key = p_site_key and v.valid_from <= p_now and v.valid_to > p_now),
                'UTC') as local
        ) w
        cross join generate_series(0, 1) as d (back)
        cross join lateral (select w.local::date - d.back as day) b
        where q.channel_key = p_channel_key
          and extract(isodow from b.day)::integer - 1 = any (q.weekdays)
          and w.local >= b.day + q.start_local
          and w.local < b.day + q.start_local + q.length_min * interval '1 minute')
$$;

create or replace function ops.due_messages(p_channel_key integer, p_now timestamptz)
returns setof ops.outbox
language sql stable
set search_path = ops, pg_temp
as $$
-- What waits and is not held by quiet hours.
    with waiting as materialized (
        select m.* from ops.outbox m
        where m.channel_key = p_channel_key and m.state = 'waiting'
    ),
    sites as materialized (
        select w.site_key, ops.is_quiet(p_channel_key, w.site_key, p_now) as quiet
        from (select distinct q.site_key from waiting q) w
    )
    select w.*
    from waiting w
    join sites s on s.site_key = w.site_key
    join ops.channels c on c.channel_key = p_channel_key
    where not s.quiet or w.severity = c.pierce
$$;

create or replace function ops.next_batch(p_channel_key integer, p_now timestamptz)
returns bigint[]
language sql stable
set search_path = ops, pg_temp
as $$
-- What a channel is told next, in one go: 64 messages, half as many after every failure, the
-- least tried first. A message that was tried six times goes alone, when nothing else is
-- due: should it be the one that the service refuses, it holds up no other.
    with due as materialized (
        select m.message_key, m.attempts from ops.due_messages(p_channel_key, p_now) m
    ),
    taken as (
        (select d.message_key from due d
         where d.attempts < 6
         order by d.attempts, d.message_key
         limit (select greatest(1, 64 >> least(c.failures, 6)) from ops.channels c
                where c.channel_key = p_channel_key))
        union all
        (select d.message_key from due d
         where not exists (select from due q where q.attempts < 6)
         order by d.attempts, d.message_key
         limit 1)
    )
    select coalesce(array_agg(t.message_key order by t.message_key), '{}') from taken t
$$;

create or replace function ops.claim_messages(
    p_by text, p_lease interval, p_now timestamptz default clock_timestamp())
returns table (
    channel_key integer, name text, url_env text, url_file text, messages bigint[])
language plpgsql
set search_path = ops, pg_temp
as $$
-- Takes one channel that has something to be told, for one sender: others skip it until the
-- sender settles, or its lease ends. No row: nothing is due that nobody is at.
declare
    c ops.channels;
    batch bigint[];
begin
    select q.* into c
    from ops.channels q
    where q.enabled and q.removed_at is null
      and (q.retry_at is null or q.retry_at <= p_now)
      and (q.claimed_until is null or q.claimed_until <= p_now)
      and exists (select from ops.due_messages(q.channel_key, p_now))
    order by q.channel_key
    limit 1
    for update skip locked;
    if not found then
        return;
    end if;
    -- A sender may have settled between our snapshot and our lock.
    batch := ops.next_batch(c.channel_key, p_now);
    if cardinality(batch) = 0 then
        return;
    end if;
    update ops.channels q
    set claimed_by = p_by, claimed_until = p_now + p_lease
    where q.channel_key = c.channel_key;
    update ops.outbox m
    set attempts = m.attempts + 1, last_tried_at = p_now,
        first_tried_at = coalesce(m.first_tried_at, p_now)
    where m.message_key = any (batch);
    return query select c.channel_key, c.name, c.url_env, c.url_file, batch;
end
$$;

create or replace function ops.messages_delivered(
    p_channel_key integer, p_by text, p_messages bigint[],
    p_now timestamptz default clock_timestamp())
returns integer
language plpgsql
set search_path = ops, pg_temp
as $$
-- They were told: settled, also where the sender's lease had ended meanwhile. Of the same
-- alerts, what is older is not told any more.
declare
    settled integer;
begin
    update ops.outbox m
    set state = 'delivered', settled_at = p_now, error = null
    where m.message_key = any (p_messages) and m.state = 'waiting';
    get diagnostics settled = row_count;
    with told as (
        select e.alert_key, max(e.event_key) as event_key
        from ops.outbox m
        join ops.alert_events e on e.event_key = m.event_key
        where m.message_key = any (p_messages)
        group by e.alert_key
    )
    update ops.outbox m
    set state = 'dropped', settled_at = p_now,
        error = 'a later word on the same alert was told'
    from ops.alert_events e, told t
    where m.channel_key = p_channel_key and m.state = 'waiting' and e.event_key = m.event_key
      and e.alert_key = t.alert_key and e.event_key < t.event_key;
    update ops.channels c
    set last_delivered_at = p_now, failures = 0, retry_at = null,
        claimed_by = case when c.claimed_by = p_by then null else c.claimed_by end,
        claimed_until = case when c.claimed_by = p_by then null else c.claimed_until end
    where c.channel_key = p_channel_key;
    return settled;
end
$$;

create or replace function ops.messages_failed(
    p_channel_key integer, p_by text, p_messages bigint[], p_error text,
    p_now timestamptz default clock_timestamp())
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- They were not told: again after 5, 10, 20 ... seconds, at most 300. Given up is what failed
-- for three days, or ten times while the channel took others.
begin
    update ops.outbox m
    set error = p_error,
        state = case when g.up then 'failed' else 'waiting' end,
        settled_at = case when g.up then p_now end
    from ops.outbox w
    join ops.channels c on c.channel_key = w.channel_key
    cross join lateral (
        select w.first_tried_at <= p_now - interval '3 days'
            or w.attempts >= 10 and coalesce(c.last_delivered_at > w.first_tried_at, false) as up
    ) g
    where m.message_key = any (p_messages) and m.state = 'waiting'
      and w.message_key = m.message_key;
    update ops.channels c
    set failures = c.failures + 1, last_error = p_error, last_error_at = p_now,
        retry_at = p_now + least(300, 5 * 2 ^ least(c.failures, 6)) * interval '1 second',
        claimed_by = null, claimed_until = null
    where c.channel_key = p_channel_key and c.claimed_by = p_by;
end
$$;

create or replace function ops.release_messages(
    p_channel_key integer, p_by text, p_messages bigint[])
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- The sender was stopped before it knew: the next one tells them, maybe again.
begin
    update ops.outbox m
    set attempts = m.attempts - 1
    where m.message_key = any (p_messages) and m.state = 'waiting' and m.attempts > 0;
    update ops.channels c
    set claimed_by = null, claimed_until = null
    where c.channel_key = p_channel_key and c.claimed_by = p_by;
end
$$;

create or replace function ops.give_up_messages(p_now timestamptz)
returns integer
language sql
set search_path = ops, pg_temp
as $$
-- What nobody could be told in a week, quiet hours and paused channels included; how many.
    with gone as (
        update ops.outbox m
        set state = 'failed', settled_at = p_now,
            error = coalesce(m.error, 'not tried in a week: quiet hours, or a paused channel')
        where m.state = 'waiting' and m.queued_at <= p_now - interval '7 days'
        returning 1
    )
    select count(*)::integer from gone
$$;

create or replace function ops.prune_outbox(p_now timestamptz)
returns integer
language sql
set search_path = ops, pg_temp
as $$
-- Settled messages are kept for a month; how many went.
    with gone as (
        delete from ops.outbox m
        where m.state <> 'waiting' and m.settled_at < p_now - interval '31 days'
        returning 1
    )
    select count(*)::integer from gone
$$;
