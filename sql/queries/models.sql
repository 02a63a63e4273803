-- name: list --
-- Model versions of a site, or of all, the latest first.
select v.site_id, v.model_version, v.first_seen_at, v.last_seen_at, v.events_seen,
    v.recent_share, v.recent_cameras, v.validated, v.accuracy, v.accuracy_low, v.accuracy_high
from analytics.model_versions v
where %(site)s::text is null or v.site_id = %(site)s
order by v.site_id, v.last_seen_at desc, v.model_version

-- name: window --
-- The UTC hour after the last event of either version.
select floor.hour_of(max(v.last_seen_at)) + interval '1 hour' as to_time
from analytics.model_versions v
where v.site_id = %(site)s
  and coalesce(v.model_version, '') in (coalesce(%(a)s::text, ''), coalesce(%(b)s::text, ''))

-- name: compare --
-- Two versions side by side.
select c.measure, c.a, c.b, c.difference, c.difference_low, c.difference_high, c.a_sample,
    c.b_sample
from analytics.model_comparison(%(site)s, %(a)s, %(b)s, %(from)s, %(to)s) c
