-- One name, one meaning: every column of a view in `analytics`, explained by its name.
do $$
declare
    meaning record;
begin
    for meaning in
        select c.relname as view_name, a.attname as column_name, m.said
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        join (values
            ('site_id', 'The site'),
            ('worker_id', 'The worker, within the site'),
            ('workstation_id', 'The workstation, within the site'),
            ('hour', 'Begin of the UTC hour'),
            ('production_date', 'Local date on which the shift instance starts, or, outside shifts, the local date'),
            ('shift', 'Name of the shift; null outside shifts'),
            ('working_s', 'Seconds seen working, breaks left out unless the site counts them'),
            ('idle_s', 'Seconds seen idle, breaks left out unless the site counts them'),
            ('absent_s', 'Seconds seen absent, breaks left out unless the site counts them'),
            ('break_s', 'Seconds of any state inside uncounted breaks'),
            ('events', 'State events that began here'),
            ('units', 'Products counted, in breaks too'),
            ('units_working', 'Products counted while their worker was working'),
            ('utilization', 'Fraction of 1. Worker: working / (working + idle). Workstation: occupied inside shifts / scheduled. Null without denominator'),
            ('observed_utilization', 'Fraction of 1: working / (working + idle + absent)'),
            ('units_per_hour', 'units_working per hour of working'),
            ('occupied_s', 'Seconds in which at least one worker was working or idle there (a union)'),
            ('operating_s', 'Seconds in which at least one worker was working there (a union)'),
            ('scheduled_s', 'Seconds of shifts up to the last refresh, less uncounted breaks; around the clock where no shift is in force'),
            ('throughput', 'Units per hour of occupied time'),
            ('active_workers', 'Workers with working or idle time'),
            ('average_utilization', 'Mean over workers of their utilization, a fraction of 1'),
            ('weighted_utilization', 'Sum of working / sum of working and idle, a fraction of 1'),
            ('average_production_rate', 'Mean over workers who made units while working of their units per hour'),
            ('production_rate', 'Units per hour of working time, all workers together'),
            ('state', 'working, idle, absent, or unobserved when the last state has run out'),
            ('since', 'When this state began'),
            ('confidence', 'The model''s confidence, 0 to 1'),
            ('seen_s_ago', 'Seconds since the worker''s last state event'),
            ('time', 'When it happened, by the camera''s clock'),
            ('event_type', 'working, idle, absent or product_count'),
            ('count', 'Products, with product_count; else 0'),
            ('duration_s', 'The state ends by then at the latest; null: the silence cap holds'),
            ('model_version', 'Version of the model that saw it'),
            ('camera_id', 'Camera that saw it'),
            ('ingested_at', 'When it arrived, by the database''s clock'),
            ('latency_s', 'Seconds from happening to arrival'),
            ('stored', 'Events stored'),
            ('duplicates', 'Events that were there already (conflicts included)'),
            ('conflicts', 'Duplicates that contradict what is stored'),
            ('parked', 'Events that broke a rule and wait with the rejects'),
            ('late', 'Stored events that arrived more than 5 minutes after they happened'),
            ('p95_latency_s', '95th percentile of latency in seconds, rounded up to a power of two'),
            ('job', 'Name of the scheduler''s job'),
            ('interval_s', 'Seconds between two runs'),
            ('last_started_at', 'When it last began'),
            ('last_ok_at', 'When it last ended well'),
            ('last_error', 'What it last failed with'),
            ('since_ok_s', 'Seconds since it last ended well'),
            ('stage', 'ingested, cut, aggregated or restating'),
            ('last_at', 'How far the stage is'),
            ('lag_s', 'Seconds behind the clock'),
            ('ok', 'Whether that is well'),
            ('progress', 'Share done, 0 to 1, while restating')
        ) as m (column_name, said) on m.column_name = a.attname
        where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
          and col_description(c.oid, a.attnum) is null
    loop
        execute format('comment on column analytics.%I.%I is %L',
                       meaning.view_name, meaning.column_name, meaning.said);
    end loop;
end
$$;
