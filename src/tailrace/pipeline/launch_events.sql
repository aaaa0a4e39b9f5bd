-- One row per event asked about that has come by as_of, and one per form of the event that all forms have in common: how often in
-- the last days, and in the weeks before them.
with came as (
    select event, event_at, case when event = $of_forms then json_extract_string(properties, '$.form') end as form
    from read_parquet([{files}])
    where type = 'track' and list_contains($events, event) and event_at <= $as_of and landed_at <= $as_of
)
select
    event,
    form,
    count(*) filter (event_at > $recent) as n_recent,
    count(*) filter (event_at > $usual and event_at <= $recent) as n_usual,
    min(event_at) as first_at,
    max(event_at) as last_at
from came
group by grouping sets ((event), (event, form))
having grouping(form) = 1 or form is not null
