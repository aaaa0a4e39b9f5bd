-- One row per source, type of event and UTC day: events landed, those that belong to nobody yet, and calls about an object alone,
-- which are nobody's and no orphans. Whatever as_of is.
-- Days are written again, whole, as in fct_person_days.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook=[
        "{{ name_days_to_write() }}", "{{ name_other_days_that_differ() }}", "{{ forget_days_to_write() }}",
    ],
    post_hook="{{ note_loads() }}",
    meta={'declassify': 'counts of all events together: how many came from where, and nobody'},
) }}

select
    source,
    type,
    event_on,
    count(*) as n_events,
    sum(case when person_id is null and not {{ is_object_call() }} then 1 else 0 end) as n_orphans,
    sum(case when {{ is_object_call() }} then 1 else 0 end) as n_object_calls,
    {{ event_sums() }}
from {{ ref('fct_events') }}
where {{ is_on_day_to_write() }}
group by source, type, event_on
