-- name: columns --
-- Columns of a view of schema analytics, in their order.
select a.attname, a.atttypid::regtype::text
from pg_attribute a
join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
  and c.relname = %(view)s and a.attnum > 0 and not a.attisdropped
order by a.attnum

-- name: views --
-- Every view of schema analytics.
select c.relname
from pg_class c
where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
order by 1

-- name: rows --
-- The rows of an export, each column as the file has it.
select {names} from ({query}) q
