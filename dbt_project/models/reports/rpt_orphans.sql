-- One row per source and type of event: events that belong to nobody yet, and on how many anonymous ids. Whatever as_of is.
-- n_object_calls are about an object alone: they are nobody's, and no orphans.
{{ config(tags=['by_load']) }}

with events as (
    select
        source,
        type,
        person_id,
        anonymous_id,
        {{ is_object_call() }} as is_object_call
    from {{ ref('fct_events') }}
)

select
    source,
    type,
    count(*) as n_events,
    sum(case when person_id is null and not is_object_call then 1 else 0 end) as n_orphans,
    count(distinct case when person_id is null then anonymous_id end) as n_anonymous_ids,
    sum(case when is_object_call then 1 else 0 end) as n_object_calls
from events
group by source, type
