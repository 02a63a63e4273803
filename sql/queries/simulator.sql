-- name: try_lock --
-- One process at a time tells a plant, for as long as its session lives.
select pg_try_advisory_lock(hashtext('floorpulse.simulator'), %(site_key)s)

-- name: plant --
-- The plant of a site: what it is like (JSON), and how far it is told: bytes_done holds
-- the milliseconds from its beginning, lines_done the events sent. The door moves both in
-- the transaction that stores the events, so that a kill repeats nothing and skips nothing.
select l.load_id, l.options, l.bytes_done, l.lines_done
from ingest.loads l
where l.source = 'simulator' and l.site_id = %(site)s

-- name: begin_plant --
-- A plant begins; its load never ends.
insert into ingest.loads (source, site_id, options)
values ('simulator', %(site)s, %(plant)s)
