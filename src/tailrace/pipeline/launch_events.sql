-- One row per event asked about that has come by as_of: how often in the last days, and in the weeks before them.
select
    event,
    count(*) filter (event_at > $recent) as n_recent,
    count(*) filter (event_at > $usual and event_at <= $recent) as n_usual,
    min(event_at) as first_at,
    max(event_at) as last_at
from read_parquet([{files}])
where type = 'track' and list_contains($events, event) and event_at <= $as_of and landed_at <= $as_of
group by event
