-- name: list --
-- Alerts of a site (null: all), of a state (null: whatever is not resolved; 'all': all).
select a.*
from analytics.alerts a
where (%(site)s::text is null or a.site_id = %(site)s)
  and case when %(state)s::text is null then a.alert_state <> 'resolved'
           else %(state)s in ('all', a.alert_state) end
order by a.resolved_at desc nulls first, a.severity, a.opened_at desc, a.alert_id
limit %(limit)s

-- name: page --
-- Alerts of some sites (null: all), the newest first, behind one of them.
select a.*
from analytics.alerts a
where (%(sites)s::text[] is null or a.site_id = any (%(sites)s))
  and (%(after)s::bigint is null or a.alert_id < %(after)s)
  and case when %(state)s = 'unresolved' then a.alert_state <> 'resolved'
           else %(state)s in ('all', a.alert_state) end
order by a.alert_id desc
limit %(limit)s

-- name: one --
-- An alert by its number.
select a.*
from analytics.alerts a
where a.alert_id = %(alert)s

-- name: acknowledge --
-- False where it is at that already, or resolved.
select ops.acknowledge_alert(%(alert)s, clock_timestamp(), %(who)s, %(note)s)

-- name: snooze --
-- False where it is resolved.
select ops.snooze_alert(%(alert)s, clock_timestamp(), %(until)s, %(who)s, %(note)s)

-- name: resolve --
-- False where it is resolved already.
select ops.resolve_alert(%(alert)s, clock_timestamp(), %(who)s, %(note)s)
