-- One row per source and UTC day: events landed, and those that belong to nobody yet (calls about an object alone are no
-- orphans). Whatever as_of is.
{{ config(tags=['by_load']) }}

select
    source,
    event_on,
    count(*) as n_events,
    sum(case when person_id is null and not {{ is_object_call() }} then 1 else 0 end) as n_orphans
from {{ ref('fct_events') }}
group by source, event_on
