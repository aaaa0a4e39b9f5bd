-- grain: one row per event and source
select
    event,
    source,
    count(*) as n_events,
    min(event_at) as first_at,
    max(event_at) as last_at
from read_parquet([{files}])
where type = 'track' and event is not null and ($load is null or load_id = $load)
group by event, source
order by event, source
