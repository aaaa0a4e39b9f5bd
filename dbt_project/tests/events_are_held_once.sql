-- One row per event id that occurs twice within its source, among the days touched by the day's loads.
-- Older days were asked when their loads were new: asking all of them again would cost more than the build.
{{ config(tags=['by_load']) }}

with newest as (
    select {{ plus_days('max(landed_at)', -1) }} as since
    from {{ ref('fct_events') }}
),

days as (
    select distinct events.event_on
    from {{ ref('fct_events') }} as events
    cross join newest
    where events.landed_at > newest.since
)

select
    events.source,
    events.event_id,
    count(*) as n_rows
from {{ ref('fct_events') }} as events
where events.event_on in (select days.event_on from days)
group by events.source, events.event_id
having count(*) > 1
