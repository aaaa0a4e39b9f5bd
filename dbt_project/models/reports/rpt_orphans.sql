-- One row per source and type of event: events that belong to nobody yet, and on how many anonymous ids. Whatever as_of is.
-- n_object_calls are about an object alone: they are nobody's, and no orphans.
{{ config(tags=['by_load']) }}

with anonymous as (
    select
        source,
        type,
        count(distinct anonymous_id) as n_anonymous_ids
    from {{ ref('fct_events') }}
    where person_id is null
    group by source, type
),

counted as (
    select
        source,
        type,
        cast(sum(n_events) as bigint) as n_events,
        cast(sum(n_orphans) as bigint) as n_orphans,
        cast(sum(n_object_calls) as bigint) as n_object_calls
    from {{ ref('fct_event_days') }}
    group by source, type
)

select
    counted.source,
    counted.type,
    counted.n_events,
    counted.n_orphans,
    coalesce(anonymous.n_anonymous_ids, 0) as n_anonymous_ids,
    counted.n_object_calls
from counted
left join anonymous on counted.source = anonymous.source and counted.type = anonymous.type
