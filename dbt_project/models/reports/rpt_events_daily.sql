-- One row per source and UTC day: events landed, and those that belong to nobody yet. Whatever as_of is.
{{ config(tags=['by_load']) }}

select
    source,
    event_on,
    count(*) as n_events,
    count(*) - count(person_id) as n_orphans
from {{ ref('fct_events') }}
group by source, event_on
