-- One row per source and type of event: events that belong to nobody yet, and on how many anonymous ids. Whatever as_of is.
{{ config(tags=['by_load']) }}

select
    source,
    type,
    count(*) as n_events,
    count(*) - count(person_id) as n_orphans,
    count(distinct case when person_id is null then anonymous_id end) as n_anonymous_ids
from {{ ref('fct_events') }}
group by source, type
