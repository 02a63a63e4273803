-- Who is told of alerts, and what became of every message. No secret is here: a channel names
-- the variable or file that holds its URL.

create or replace view analytics.notification_channels as
select
    c.name as channel, c.sites, c.severity as least_severity, c.transitions, c.digest, c.pierce,
    c.enabled, c.failures, c.retry_at, c.last_delivered_at, c.last_error_at,
    c.last_error as channel_error
from ops.channels c
where c.removed_at is null;

create or replace view analytics.notifications as
select
    m.message_key as message_id, c.name as channel, s.site_id, e.alert_key as alert_id,
    coalesce(e.transition, 'digest') as transition, m.severity, m.state as message_state,
    m.queued_at, m.attempts, m.last_tried_at, m.settled_at, m.error as message_error
from ops.outbox m
join ops.channels c on c.channel_key = m.channel_key
join floor.sites s on s.site_key = m.site_key
left join ops.alert_events e on e.event_key = m.event_key;

comment on view analytics.notification_channels is 'Who is told of alerts, and how that goes, see docs/notifications.md';
comment on view analytics.notifications is 'Every message: told, waiting or given up, and why';
comment on column analytics.notifications.severity is 'warning or critical, of the alert as it was then; digest: the summary of a shift';
