-- One row per source, type of event and UTC day: events landed, those that belong to nobody yet, and calls about an object alone,
-- which are nobody's and no orphans. Whatever as_of is.
-- A day whose sums differ from fct_events is written again, whole, as in fct_person_days.
{{ config(
    materialized='incremental', tags=['by_load'], pre_hook="{{ forget_changed_days() }}",
    meta={'declassify': 'counts of all events together: how many came from where, and nobody'},
) }}

select
    source,
    type,
    event_on,
    count(*) as n_events,
    sum(case when person_id is null and not {{ is_object_call() }} then 1 else 0 end) as n_orphans,
    sum(case when {{ is_object_call() }} then 1 else 0 end) as n_object_calls,
    cast(sum(load_seq) as bigint) as load_seq_sum,
    cast(coalesce(sum(attributed_in), 0) as bigint) as attributed_in_sum
from {{ ref('fct_events') }}
where {{ is_in_missing_day() }}
group by source, type, event_on
