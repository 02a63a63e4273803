-- How near the last verdicts came to firing, by signal: 1 is the threshold. For a mean, of the
-- way from its baseline.
select d.signal,
    max(case
        when d.signal = 'confidence_drop' or (d.signal in ('confidence_low', 'rolling_low')
                                              and d.baseline > d.threshold)
        then (d.baseline - d.current) / (d.baseline - d.threshold)
        when d.signal = 'rate_shift' then abs(d.current - d.baseline) / d.threshold
        when d.signal in ('confidence_low', 'rolling_low') then d.threshold / d.current
        else d.current / d.threshold end)::float8
from ops.drift_checks d
where d.verdict <> 'not enough data'
group by d.signal
