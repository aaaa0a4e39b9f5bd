-- One row per source and UTC day: events landed, and those that belong to nobody yet (calls about an object alone are no
-- orphans). Whatever as_of is.
{{ config(tags=['by_load']) }}

select
    source,
    event_on,
    cast(sum(n_events) as bigint) as n_events,
    cast(sum(n_orphans) as bigint) as n_orphans
from {{ ref('fct_event_days') }}
group by source, event_on
